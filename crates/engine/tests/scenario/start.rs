//! `CallStart`.

use std::time::Duration;

use engine::Mode;
use engine::phone::{Answer, OnRefer};
use expect_test::expect;

use crate::check;
use crate::world::{CALLEE, CALLER};

#[test]
fn refer() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::After(Duration::from_millis(3000));
            let command = w.start(Mode::Refer);
            w.run();
            let call_id = w.call_id(command);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                          call-api               caller                callee
            0      > CallStart                         |                     |                     |
            0                                          |--INVITE (offer inactive)->|                     |
            0                                          |<----100 Trying------|                     |
            0                                          |<----180 Ringing-----|                     |
            0      < CALL_RINGING caller               |                     |                     |
            0                                          |<-200 OK (answer inactive)--|                     |
            0                                          |---------ACK-------->|                     |
            0      < CALL_ANSWER caller                |                     |                     |
            0                                          |--------REFER------->|                     |
            0                                          |<-202 Accepted REFER--|                     |
            0                                          |<-NOTIFY (100 Trying)--|                     |
            0      < TRANSFER_ACCEPT                   |                     |                     |
            0                                          |----200 OK NOTIFY--->|                     |
            0      < TRANSFER_PROGRESS 100             |                     |                     |
            0                                          |<--INVITE (offer)----|                     |
            0                                          |-----100 Trying----->|                     |
            0      < CALL_START                        |                     |                     |
            0                                          |--------------INVITE (offer)-------------->|
            0                                          |<---------------100 Trying-----------------|
            0                                          |<---------------180 Ringing----------------|
            0                                          |-----180 Ringing---->|                     |
            0      < CALL_RINGING callee               |                     |                     |
            0                                          |<-NOTIFY (180 Ringing)--|                     |
            0                                          |----200 OK NOTIFY--->|                     |
            0      < TRANSFER_PROGRESS 180             |                     |                     |
            3000                                       |<-------------200 OK (answer)--------------|
            3000                                       |--------------------ACK------------------->|
            3000                                       |---200 OK (answer)-->|                     |
            3000   < CALL_ANSWER callee                |                     |                     |
            3000                                       |<--------ACK---------|                     |
            3000                                       |<--NOTIFY (200 OK)---|                     |
            3000                                       |---------BYE-------->|                     |
            3000                                       |----200 OK NOTIFY--->|                     |
            3000                                       |<----200 OK BYE------|                     |
            3000   < Ended                             |                     |                     |
            35000  > CallEnd                           |                     |                     |
            35000                                      |---------BYE-------->|                     |
            35000                                      |--------------------BYE------------------->|
            35000                                      |<----200 OK BYE------|                     |
            35000                                      |<---------------200 OK BYE-----------------|
            35000  < Ended                             |                     |                     |
        "#]],
    );
}

#[test]
fn bridge() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::After(Duration::from_millis(3000));
            let command = w.start(Mode::Bridge);
            w.run();
            let call_id = w.call_id(command);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                          call-api               caller                callee
            0      > CallStart                         |                     |                     |
            0                                          |--INVITE (offer inactive)->|                     |
            0                                          |<----100 Trying------|                     |
            0                                          |<----180 Ringing-----|                     |
            0      < CALL_RINGING caller               |                     |                     |
            0                                          |<-200 OK (answer inactive)--|                     |
            0                                          |---------ACK-------->|                     |
            0      < CALL_ANSWER caller                |                     |                     |
            0      < TRANSFER_ACCEPT                   |                     |                     |
            0      < CALL_START                        |                     |                     |
            0                                          |------------------INVITE------------------>|
            0                                          |<---------------100 Trying-----------------|
            0                                          |<---------------180 Ringing----------------|
            0      < CALL_RINGING callee               |                     |                     |
            3000                                       |<-------------200 OK (offer)---------------|
            3000                                       |---INVITE (offer)--->|                     |
            3000                                       |<----100 Trying------|                     |
            3000                                       |<--200 OK (answer)---|                     |
            3000                                       |---------ACK-------->|                     |
            3000                                       |---------------ACK (answer)--------------->|
            3000   < CALL_ANSWER callee                |                     |                     |
            3000   < Ended                             |                     |                     |
            35000  > CallEnd                           |                     |                     |
            35000                                      |---------BYE-------->|                     |
            35000                                      |--------------------BYE------------------->|
            35000                                      |<----200 OK BYE------|                     |
            35000                                      |<---------------200 OK BYE-----------------|
            35000  < Ended                             |                     |                     |
        "#]],
    );
}

#[test]
fn refer_is_refused() {
    check(
        |w| {
            w.phones[CALLER].behaviour.refer = OnRefer::Refuse(405);
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                          call-api               caller                callee
            0      > CallStart                         |                     |                     |
            0                                          |--INVITE (offer inactive)->|                     |
            0                                          |<----100 Trying------|                     |
            0                                          |<----180 Ringing-----|                     |
            0      < CALL_RINGING caller               |                     |                     |
            0                                          |<-200 OK (answer inactive)--|                     |
            0                                          |---------ACK-------->|                     |
            0      < CALL_ANSWER caller                |                     |                     |
            0                                          |--------REFER------->|                     |
            0                                          |<-405 Method Not Allowed REFER--|                     |
            0      < Error: caller: 405 Method Not Allowed|                     |                     |
            0      < Ended                             |                     |                     |
            0                                          |---------BYE-------->|                     |
            0                                          |<----200 OK BYE------|                     |
        "#]],
    );
}
