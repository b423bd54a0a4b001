// SPDX-License-Identifier: Apache-2.0
//
// load_config over real files: finding them, bundling, collecting, and what is checked across Workers.
#include "src/supervisor/config/load.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/supervisor/config/bundle.h"
#include "src/supervisor/config/modules.h"
#include "src/supervisor/config/program.h"

namespace insula::config {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const fs::path kSourceRoot = INSULA_SOURCE_ROOT;

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pattern = (fs::temp_directory_path() / "insula-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = fs::canonical(pattern);
    ::setenv("INSULA_HOME", kSourceRoot.c_str(), 1);
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
  }
  void put_worker(const std::string& folder, const std::string& name, const std::string& more = "") {
    put(folder + "/wrangler.jsonc", R"({"name": ")" + name +
                                        R"(", "main": "index.js", "compatibility_date": "2026-11-17",
        "no_bundle": true)" + more + "}");
    put(folder + "/index.js", "export default {}");
  }
  Result<Config> load(std::vector<std::string> paths) {
    Options options;
    for (const auto& path : paths) options.paths.push_back(root_ / path);
    return load_config(options);
  }
  std::string problem(std::vector<std::string> paths) {
    const auto config = load(std::move(paths));
    return config ? "" : config.error().message();
  }
  static std::vector<std::string> names(const std::vector<Module>& modules) {
    std::vector<std::string> names;
    for (const auto& module : modules) names.push_back(module.name);
    return names;
  }

  fs::path root_;
};

TEST_F(LoadTest, BundlesTypeScriptWithEveryKindOfImport) {
  put("wrangler.jsonc", R"({"name": "w", "main": "src/index.ts", "compatibility_date": "2026-11-17",
      "rules": [{"type": "Text", "globs": ["**/*.md"]}]})");
  put("src/index.ts", R"(
import wasm from "./add.wasm";
import again from "./add.wasm?module";
import bytes from "../lib/d.bin";
import text from "./t.txt";
import page from "./p.md";
import json from "./j.json";
import { twice } from "dep";
import { WorkerEntrypoint } from "cloudflare:workers";
import { Buffer } from "buffer";
export class Named extends WorkerEntrypoint { answer(): number { return twice(21); } }
export default { fetch(): unknown { return [wasm, again, bytes, text, page, json, Buffer, process.env.NODE_ENV]; } };
)");
  put("src/add.wasm", std::string_view("\0asm\1\0\0\0", 8));
  put("lib/d.bin", std::string_view("a\0b", 3));
  put("src/t.txt", "some text");
  put("src/p.md", "# a page");
  put("src/j.json", R"({"deep": [1]})");
  put("node_modules/dep/package.json",
      R"({"name": "dep", "exports": {".": {"browser": "./b.js", "default": "./d.js"}}})");
  put("node_modules/dep/b.js", "export const twice = (n) => n * 2;");
  put("node_modules/dep/d.js", "export const twice = 'the wrong one';");

  const auto config = load({""});
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_THAT(config->warnings, IsEmpty());
  const auto& worker = config->workers.at(0);
  EXPECT_EQ(worker.main_module, "index.js");
  ASSERT_EQ(worker.modules.size(), 4U);
  const auto& main = worker.modules[0];
  EXPECT_EQ(main.kind, ModuleKind::EsModule);
  for (const auto* part : {"n * 2", "some text", "# a page", "deep", "from \"cloudflare:workers\"",
                           "from \"node:buffer\"", "production", "Named"}) {
    EXPECT_THAT(main.bytes, HasSubstr(part));
  }
  EXPECT_THAT(main.bytes, testing::Not(HasSubstr("the wrong one")));
  for (std::size_t i = 1; i < worker.modules.size(); ++i) {
    const auto& module = worker.modules[i];
    EXPECT_THAT(main.bytes, HasSubstr("\"./" + module.name + "\""));
    const bool is_wasm = module.name.find(".wasm") != std::string::npos;
    EXPECT_EQ(module.kind, is_wasm ? ModuleKind::Wasm : ModuleKind::Data);
    EXPECT_EQ(module.bytes.size(), is_wasm ? 8U : 3U);
  }
}

TEST_F(LoadTest, KnowsWhatABundledMainModuleExports) {
  put("wrangler.jsonc", R"({"name": "w", "main": "i.ts", "compatibility_date": "2026-11-17",
      "services": [{"binding": "S", "service": "w", "entrypoint": "Named"}]})");
  put("other.ts", "export class Named {}\nexport type Ghost = {};\n");
  put("i.ts", "export * from './other';\nexport default {};\n");
  const auto config = load({""});
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_THAT(config->workers.at(0).exports, testing::Optional(testing::UnorderedElementsAre("Named", "default")));
  put("i.ts", "export default {};\n");
  EXPECT_THAT(problem({""}), HasSubstr(R"(S names the entrypoint "Named", which the main module of "w" does not export; it )"
                                       R"(exports "default")"));
}

TEST_F(LoadTest, BundlerComplaintsArriveVerbatim) {
  put("wrangler.toml", "name = \"w\"\nmain = \"i.ts\"\ncompatibility_date = \"2026-11-17\"\n");
  put("i.ts", "import x from './missing';\nexport default x\nconst const = 1;\n");
  EXPECT_THAT(problem({""}), testing::AllOf(HasSubstr("wrangler.toml: "), HasSubstr("cannot be bundled"),
                                            HasSubstr("i.ts:3:6"), HasSubstr("Expected identifier")));
  put("i.ts", "import x from './missing';\nexport default x\n");
  EXPECT_THAT(problem({""}), testing::AllOf(HasSubstr("i.ts:1:14"), HasSubstr("Could not resolve \"./missing\"")));
}

TEST_F(LoadTest, TakesFilesAsTheyAreWithoutBundling) {
  put_worker(".", "w", R"(, "assets": {"directory": "public"})");
  for (const auto* name : {"lib/a.mjs", "lib/b.cjs", "t.txt", "x.wasm", "package.json", "public/skipped.js",
                           ".git/c.js", "node_modules/d/e.js", "README.md"}) {
    put(name, name);
  }
  const auto config = load({""});
  ASSERT_TRUE(config) << config.error().message();
  const auto& modules = config->workers.at(0).modules;
  EXPECT_THAT(names(modules), ElementsAre("index.js", "lib/a.mjs", "lib/b.cjs", "t.txt", "x.wasm"));
  EXPECT_EQ(modules[2].kind, ModuleKind::CommonJs);
  EXPECT_EQ(modules[3].kind, ModuleKind::Text);
  EXPECT_EQ(modules[4].kind, ModuleKind::Wasm);
  EXPECT_EQ(modules[4].bytes, "x.wasm");
  EXPECT_EQ(config->node.data_directory, root_ / ".insula");
}

TEST_F(LoadTest, SeveralWorkersFromTheCommandLineOrInsulaToml) {
  put_worker("a", "first", R"(, "services": [{"binding": "B", "service": "second"}])");
  put_worker("b", "second");
  const auto by_flags = load({"a/wrangler.jsonc", "b"});
  ASSERT_TRUE(by_flags) << by_flags.error().message();
  ASSERT_EQ(by_flags->workers.size(), 2U);
  EXPECT_EQ(by_flags->workers[0].name, "first");

  put("insula.toml", "workers = [\"a/wrangler.jsonc\", \"b\"]\nisolation = \"process\"\n");
  for (const auto* path : {"", "insula.toml"}) {
    const auto config = load({path});
    ASSERT_TRUE(config) << config.error().message();
    EXPECT_EQ(config->workers.size(), 2U);
    EXPECT_EQ(config->node.isolation, Isolation::Process);
  }
  EXPECT_THAT(problem({"a"}), HasSubstr("names the Worker \"second\", which is not one of this node's (\"first\")"));
  EXPECT_THAT(problem({"b", "b"}), HasSubstr("\"second\" is already defined by"));
}

TEST_F(LoadTest, FlagsWinOverInsulaToml) {
  put_worker(".", "w");
  put("insula.toml", "listen = \"127.0.0.1:1\"\nisolation = \"shared\"\ntenant_runners = 2\n");
  Options options;
  options.paths = {root_ / "wrangler.jsonc"};
  options.listen = ListenAddress{"127.0.0.1", 0};
  options.isolation = Isolation::Process;
  options.data_directory = root_ / "state";
  options.frozen_clock = false;
  const auto config = load_config(options);
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->node.listen_port, 0);
  EXPECT_EQ(config->node.isolation, Isolation::Process);
  EXPECT_EQ(config->node.tenant_runners, 2U);
  EXPECT_EQ(config->node.data_directory, root_ / "state");
  EXPECT_FALSE(config->node.frozen_clock);
}

TEST_F(LoadTest, SaysWhatIsMissing) {
  EXPECT_THAT(problem({"nowhere"}), HasSubstr("nowhere: there is no such file or folder"));
  EXPECT_THAT(problem({""}), HasSubstr("neither wrangler.jsonc, wrangler.json nor wrangler.toml is there"));
  put("worker.js", "");
  EXPECT_THAT(problem({"worker.js"}), HasSubstr("worker.js: expected a wrangler.jsonc"));
  put_worker("w", "w", R"(, "assets": {"directory": "public"})");
  EXPECT_THAT(problem({"w"}), HasSubstr("assets.directory: there is no folder"));
  put_worker("w", "w");
  fs::remove(root_ / "w/index.js");
  EXPECT_THAT(problem({"w"}), HasSubstr("main: there is no file"));
  put("w/index.js/inner", "");
  EXPECT_THAT(problem({"w"}), HasSubstr("main: there is no file"));
}

TEST_F(LoadTest, ASecondWranglerFileIsMentioned) {
  put_worker(".", "w");
  put("wrangler.toml", "name = \"x\"");
  const auto config = load({""});
  ASSERT_TRUE(config);
  EXPECT_THAT(config->warnings, ElementsAre(HasSubstr("wrangler.toml: not read, since")));
}

TEST_F(LoadTest, ProgramsEndAtTheirDeadlineOrSayWhy) {
  const auto outcome = run_program("/bin/sh", {"-c", "echo $PWD $HOME >&2; exit 3"}, root_, milliseconds(10000));
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(outcome->exit_status, 3);
  EXPECT_EQ(outcome->complaints, root_.string() + "\n");
  const auto stuck = run_program("/bin/sh", {"-c", "exec sleep 1000"}, root_, milliseconds(20));
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().code(), ErrorCode::TimedOut);
  EXPECT_EQ(run_program(root_ / "none", {}, root_, milliseconds(1000)).error().code(), ErrorCode::Unavailable);
  const auto loud = run_program("/bin/sh", {"-c", "head -c 1000000 /dev/zero >&2"}, root_, milliseconds(10000));
  ASSERT_TRUE(loud);
  EXPECT_EQ(loud->complaints.size(), kComplaintsBytesMax);
}

TEST(Globs, MatchWholePaths) {
  for (const auto& [path, glob] :
       {std::pair("a.txt", "**/*.txt"), std::pair("a/b/c.txt", "**/*.txt"), std::pair("a.txt", "*.txt"),
        std::pair("a/b.txt", "a/*"), std::pair("a/b/c/d", "a/**"), std::pair("a/b/c", "a/**/c"),
        std::pair("a/c", "a/**/c"), std::pair("ab", "a?"), std::pair("aXbXb", "a*b")}) {
    EXPECT_TRUE(matches_glob(path, glob)) << path << " " << glob;
  }
  for (const auto& [path, glob] :
       {std::pair("a/b.txt", "*.txt"), std::pair("a.txt.js", "**/*.txt"), std::pair("a/b/c", "a/*"),
        std::pair("ab", "a"), std::pair("a", "a?"), std::pair("b/c", "a/**/c")}) {
    EXPECT_FALSE(matches_glob(path, glob)) << path << " " << glob;
  }
}

}  // namespace
}  // namespace insula::config
