// SPDX-License-Identifier: Apache-2.0
//
// Egress over TLS: certificates that are trusted, that are not, and ends that are cut.
#include <ctime>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "src/supervisor/egress/loopback_test_kit.h"

namespace insula::egress::testing {
namespace {

struct Identity {
  std::string certificate_pem;
  std::string key_pem;
};

template <class Write>
std::string to_pem(Write&& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  write(bio.get());
  char* text = nullptr;
  const long size = BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, static_cast<void*>(&text));
  return std::string(text, static_cast<std::size_t>(size));
}

// A certificate that signs itself, for these alternative names ("DNS:origin.test").
Identity make_identity(const std::string& names, long seconds_valid = 3600) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -7200);
  X509_gmtime_adj(X509_getm_notAfter(x), seconds_valid);
  X509_set_pubkey(x, key.get());
  X509_NAME* subject = X509_get_subject_name(x);
  const std::string common = "test " + names;
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common.c_str()), -1,
                             -1, 0);
  X509_set_issuer_name(x, subject);
  X509V3_CTX context;
  X509V3_set_ctx(&context, x, x, nullptr, nullptr, 0);
  for (const auto& [kind, value] : {std::pair<int, std::string>{NID_subject_alt_name, names},
                                    std::pair<int, std::string>{NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(x, key.get(), EVP_sha256());
  return {to_pem([&](BIO* bio) { PEM_write_bio_X509(bio, x); }),
          to_pem([&](BIO* bio) { PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); })};
}

class Tls : public EgressTest {
 protected:
  void use(const Identity& identity) {
    tls_.use_certificate(asio::buffer(identity.certificate_pem), asio::ssl::context::pem);
    tls_.use_private_key(asio::buffer(identity.key_pem), asio::ssl::context::pem);
  }
  asio::ssl::context tls_{asio::ssl::context::tls_server};
};

std::string sni_seen;
int note_sni(SSL* ssl, int*, void*) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  sni_seen = name != nullptr ? name : "";
  return SSL_TLSEXT_ERR_OK;
}

TEST_F(Tls, FetchesFromATrustedServerAndKeepsTheConnection) {
  const auto identity = make_identity("DNS:origin.test");
  use(identity);
  options_.ca_pem = identity.certificate_pem;
  SSL_CTX_callback_ctrl(tls_.native_handle(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(&note_sni));
  ScriptedServer server(io_, {{expect_request(), send(ok("one")), expect_request(), send(ok("two"))}}, &tls_);
  const auto call = fetch(get(server.url()));
  EXPECT_EQ(call->sink.text, "one") << call->message();
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "two");
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(sni_seen, "origin.test");
}

TEST_F(Tls, MovesLargeBodiesBothWays) {
  const auto identity = make_identity("DNS:origin.test");
  use(identity);
  options_.ca_pem = identity.certificate_pem;
  const std::string body(2 << 20, 'u');
  ScriptedServer server(
      io_,
      {{expect_request(), expect(body), send("HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"), send_many(8 << 20)}},
      &tls_);
  auto request = get(server.url(), "POST");
  request.has_body = true;
  request.source = std::make_shared<PushingSource>(body.size());
  request.length = body.size();
  const auto call = fetch(std::move(request));
  EXPECT_EQ(call->sink.size, std::size_t{8} << 20);
  EXPECT_TRUE(call->sink.ended);
}

TEST_F(Tls, AcceptsACertificateForAnAddress) {
  const auto identity = make_identity("IP:127.0.0.1");
  use(identity);
  options_.ca_pem = identity.certificate_pem;
  ScriptedServer server(io_, {{expect_request(), send(ok("x"))}}, &tls_);
  EXPECT_EQ(fetch(get(server.url("127.0.0.1")))->sink.text, "x");
}

TEST_F(Tls, RefusesCertificatesThatDoNotVouchForTheHost) {
  const auto trusted = make_identity("DNS:origin.test");
  const auto stranger = make_identity("DNS:origin.test");
  const auto other_name = make_identity("DNS:other.test, DNS:*.test, IP:127.0.0.1");
  const auto expired = make_identity("DNS:origin.test", -3600);
  struct Row {
    const char* what;
    const Identity& shown;
    const Identity& believed;
  };
  for (const Row& row : {Row{"unknown issuer", stranger, trusted}, Row{"another name", other_name, other_name},
                         Row{"expired", expired, expired}}) {
    egress_.reset();
    options_.ca_pem = row.believed.certificate_pem;
    asio::ssl::context tls(asio::ssl::context::tls_server);
    tls.use_certificate(asio::buffer(row.shown.certificate_pem), asio::ssl::context::pem);
    tls.use_private_key(asio::buffer(row.shown.key_pem), asio::ssl::context::pem);
    ScriptedServer server(io_, {{expect_request(), send(ok("secret"))}}, &tls);
    names_.addresses["www.origin.test"] = {"127.0.0.1"};
    const auto call = fetch(get(server.url(&row.shown == &other_name ? "www.origin.test" : "origin.test")));
    EXPECT_EQ(call->error(), ErrorCode::Unavailable) << row.what;
    EXPECT_NE(call->message().find("certificate is not valid"), std::string::npos) << row.what << call->message();
    ASSERT_TRUE(run_until(io_, [&] { return server.session(0).client_gone || server.session(0).handshake_failed; }));
    EXPECT_EQ(server.session(0).received, "") << row.what << ": nothing is said to a server that is not verified";
    egress_.reset();
    settle(io_);
  }
}

TEST_F(Tls, DoesNotSpeakPlainTextToATlsPortNorTlsToAPlainOne) {
  ScriptedServer server(io_, {{expect("\x16\x03"), send("HTTP/1.1 400 Bad Request\r\n\r\n"), close()}});
  const auto call = fetch(get("https://origin.test:" + std::to_string(server.port()) + "/"));
  EXPECT_EQ(call->error(), ErrorCode::Unavailable);
}

TEST_F(Tls, TellsACutFromAnEnd) {
  const auto identity = make_identity("DNS:origin.test");
  use(identity);
  options_.ca_pem = identity.certificate_pem;
  const std::string answer = "HTTP/1.1 200 OK\r\n\r\nhello";
  ScriptedServer server(io_, {{expect_request(), send(answer), close()}, {expect_request(), send(answer), cut_tls()}},
                        &tls_);
  const auto ended = fetch(get(server.url()));
  EXPECT_TRUE(ended->sink.ended) << ended->message();
  const auto cut = fetch(get(server.url()));
  EXPECT_EQ(cut->error(), ErrorCode::Unavailable);
  EXPECT_EQ(cut->sink.text, "hello");
}

TEST_F(Tls, SaysSoWhenTheCertificatesToTrustAreNone) {
  options_.ca_pem = "not a certificate";
  const auto created = Egress::create(io_.get_executor(), options_, log_, clock_);
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code(), ErrorCode::InvalidInput);
}

TEST_F(Tls, LoadsTheSystemsStoreByDefault) {
  EXPECT_TRUE(Egress::create(io_.get_executor(), options_, log_, clock_).has_value());
}

}  // namespace
}  // namespace insula::egress::testing
