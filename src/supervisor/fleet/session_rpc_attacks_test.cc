// SPDX-License-Identifier: Apache-2.0
//
// Session: what a hostile runner may try with references and kept results.
#include <gtest/gtest.h>

#include <string>

#include "src/supervisor/fleet/session_rpc_world_test.h"

namespace insula::fleet {
namespace {

const Attack kAttacks[] = {
    {"ExportTwice",
     [](SessionTest& test) { test.say(rpc_of_runner(test, 1, 0, {sender_hosted(7), sender_hosted(7)})); }},
    {"ExportThatIsStillHeld",
     [](SessionTest& test) {
       test.say(rpc_of_runner(test, 1, 0, {sender_hosted(7)}));
       test.say(rpc_of_runner(test, 2, 0, {sender_hosted(7)}));
     }},
    {"ExportZero", [](SessionTest& test) { test.say(rpc_of_runner(test, 1, 0, {sender_hosted(0)})); }},
    {"ReferenceToWhatWasNeverGranted",
     [](SessionTest& test) { test.say(rpc_of_runner(test, 1, 0, {receiver_hosted(test.capability + 1)})); }},
    {"ReferenceOfAnotherGeneration",
     [](SessionTest& test) { test.say(rpc_of_runner(test, 1, 0, {receiver_hosted(test.capability + (1u << 20))})); }},
    {"ReferenceInAnAnswer",
     [](SessionTest& test) { test.say(value_of_runner(ask_aside(test), {receiver_hosted(12345)})); }},
    {"ReferenceInProps",
     [](SessionTest& test) {
       Payload props;
       props.capabilities = {receiver_hosted(12345)};
       test.say(rpc_of_runner(test, 1, 0, {entrypoint(test.worker, "Named", props)}));
     }},
    {"EntrypointOfAStranger",
     [](SessionTest& test) { test.say(rpc_of_runner(test, 1, 0, {entrypoint(test.worker + 1, "Named")})); }},
    {"CallOfAStranger",
     [](SessionTest& test) {
       auto invoke = rpc_of_runner(test, 1, 0);
       invoke.target.kind = protocol::Target::Kind::Own;
       invoke.target.number = test.worker + 1;
       test.say(invoke);
     }},
    {"CallOfADynamicWorker",
     [](SessionTest& test) {
       test.is_owner_dynamic = true;
       auto invoke = rpc_of_runner(test, 1, 0);
       invoke.target.kind = protocol::Target::Kind::Own;
       invoke.target.number = test.worker;
       test.say(invoke);
     }},
    {"EntrypointOfADynamicWorker",
     [](SessionTest& test) {
       test.is_owner_dynamic = true;
       test.say(rpc_of_runner(test, 1, 0, {entrypoint(test.worker, "Named")}));
     }},
    {"PropsTooLarge",
     [](SessionTest& test) {
       const Bytes large(kEnvBytesMax + 1, 'x');
       Payload props;
       props.bytes = large;
       test.say(rpc_of_runner(test, 1, 0, {entrypoint(test.worker, "Named", props)}));
     }},
    {"TooManyReferences",
     [](SessionTest& test) {
       test.say(rpc_of_runner(test, 1, 0, {kPayloadCapabilitiesMax + 1, receiver_hosted(test.capability)}));
     }},
    {"PromisedOfNoQuestion",
     [](SessionTest& test) {
       auto invoke = rpc_of_runner(test, 2, 0);
       invoke.target.kind = protocol::Target::Kind::Promised;
       invoke.target.number = 1;
       test.say(invoke);
     }},
    {"PromisedOfItself",
     [](SessionTest& test) {
       auto invoke = rpc_of_runner(test, 2, 0);
       invoke.target.kind = protocol::Target::Kind::Promised;
       invoke.target.number = 2;
       test.say(invoke);
     }},
    {"PromisedOfAFetch",
     [](SessionTest& test) {
       test.say(test.call_of_runner(1, 0));
       auto invoke = rpc_of_runner(test, 2, 0);
       invoke.target.kind = protocol::Target::Kind::Promised;
       invoke.target.number = 1;
       test.say(invoke);
     }},
    {"PromisedOfAFinishedCall",
     [](SessionTest& test) {
       test.say(rpc_of_runner(test, 1, 0));
       test.session->answer_error(1, error_of(Fault::Internal));
       test.say(protocol::Finish{1});
       auto invoke = rpc_of_runner(test, 2, 0);
       invoke.target.kind = protocol::Target::Kind::Promised;
       invoke.target.number = 1;
       test.say(invoke);
     }},
    {"QuestionOfAnUnfinishedCall",
     [](SessionTest& test) {
       test.say(rpc_of_runner(test, 1, 0));
       test.session->answer_error(1, error_of(Fault::Internal));
       test.say(rpc_of_runner(test, 1, 0));
     }},
    {"FinishOfNoCall", [](SessionTest& test) { test.say(protocol::Finish{1}); }},
    {"FinishBeforeTheReturn",
     [](SessionTest& test) {
       test.say(rpc_of_runner(test, 1, 0));
       test.say(protocol::Finish{1});
     }},
    {"FinishTwice",
     [](SessionTest& test) {
       test.say(rpc_of_runner(test, 1, 0));
       test.session->answer_error(1, error_of(Fault::Internal));
       test.say(protocol::Finish{1});
       test.say(protocol::Finish{1});
     }},
    {"FinishOfAFetch",
     [](SessionTest& test) {
       test.say(test.call_of_runner(1, 0));
       test.session->answer_error(1, error_of(Fault::Internal));
       test.say(protocol::Finish{1});
     }},
    {"FinishedTwice",
     [](SessionTest& test) {
       const QuestionId question = ask_aside(test);
       auto result = value_of_runner(question);
       result.continues = true;
       test.say(result);
       test.say(protocol::Finished{question, 0});
       test.say(protocol::Finished{question, 0});
     }},
    {"ValueForAFetch",
     [](SessionTest& test) { test.say(value_of_runner(next_invoke(test)->question)); }},
    {"ResponseForACall",
     [](SessionTest& test) {
       test.say(test.answer_with(ask_aside(test)));
     }},
    {"FramesOfTheSupervisor_Local", [](SessionTest& test) { test.say(protocol::Local{1, 1, {}, {}}); }},
    {"StreamOfAnArgumentTwice",
     [](SessionTest& test) {
       auto invoke = rpc_of_runner(test, 1, 0);
       std::get<protocol::RpcCall>(invoke.call).arguments.streams = {{Body::Kind::Stream, {}, 4, -1},
                                                                    {Body::Kind::Stream, {}, 4, -1}};
       test.say(invoke);
     }},
    {"EventWithoutEnd",
     [](SessionTest& test) {
       const Bytes large(5 * kMiB, 'x');
       auto invoke = test.call_of_runner(1, 0);
       invoke.call = protocol::EventCall{"tail", large, {}};
       test.say(invoke);
     }},
};

INSTANTIATE_TEST_SUITE_P(RpcAttacks, HostileRunner, ::testing::ValuesIn(kAttacks),
                         [](const auto& attack) { return std::string(attack.param.name); });

}  // namespace
}  // namespace insula::fleet
