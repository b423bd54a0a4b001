// SPDX-License-Identifier: Apache-2.0
//
// Files: one call, one answer; larger files leave as a stream.
#include "src/supervisor/broker/files.h"

#include <utility>
#include <variant>

#include "src/supervisor/assets/assets_directory.h"
#include "src/supervisor/fleet/session.h"

namespace insula::broker {
namespace {

class FilesCapability final : public fleet::Capability {
 public:
  explicit FilesCapability(assets::AssetsDirectory directory) : directory_(std::move(directory)) {}

  void invoke(fleet::IncomingCall& call) override {
    const auto* const fetch = std::get_if<protocol::FetchRequest>(&call.invoke.call);
    if (fetch == nullptr) {
      protocol::ErrorInfo error;
      error.name = "TypeError";
      error.message = "An assets binding has only fetch().";
      return call.session.answer_error(call.answer.question, error);
    }
    const assets::AssetResponse response = directory_.respond(fetch->method, fetch->url, fetch->headers);
    protocol::Return outcome;
    protocol::FetchResponse answer;
    answer.status = static_cast<std::uint16_t>(response.status);
    answer.headers = response.headers;
    if (response.source != nullptr) {
      answer.body.length = static_cast<std::int64_t>(response.length);
    } else if (!response.body.empty()) {
      answer.body.kind = protocol::Body::Kind::Inline;
      answer.body.bytes = response.body;
      answer.body.length = static_cast<std::int64_t>(response.body.size());
    }
    outcome.outcome = answer;
    call.session.answer(call.answer.question, outcome, response.source);
  }

 private:
  const assets::AssetsDirectory directory_;
};

}  // namespace

Result<std::shared_ptr<fleet::Capability>> open_files(const std::filesystem::path& directory) {
  TRY(auto opened, assets::AssetsDirectory::open(directory));
  return std::shared_ptr<fleet::Capability>(std::make_shared<FilesCapability>(std::move(opened)));
}

}  // namespace insula::broker
