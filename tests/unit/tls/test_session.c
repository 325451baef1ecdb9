/* A session on a descriptor: pieces and stalls, a client that does nothing but change its keys, and the end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <weft/tls/keys.h>
#include <weft/tls/server.h>
#include <weft/tls/session.h>

struct pair {
    struct weft_tls *tls;
    SSL_CTX *ctx;
    SSL *server, *client;
    int fds[2];
};

static void told(const struct ssl_st *ssl, int where, int ret)
{
    (void)ssl;
    (void)where;
    (void)ret;
}

/* A key and a certificate of its own in one file. */
static void make_files(char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "w");

    assert_non_null(out);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    assert_int_equal(X509_set_pubkey(x509, key), 1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(out, x509), 1);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void open_pair(struct pair *p, int version)
{
    char path[] = "/tmp/weft-test-XXXXXX";
    struct weft_tls_keys keys = {0};
    struct weft_err err = {0};
    int done = 0;

    make_files(path);
    weft_tls_keys_renew(&keys);
    struct weft_tls_opts o = {.cert = path, .key = "", .keys = &keys, .told = told};
    assert_int_equal(weft_tls_create(&p->tls, &o, &err), 0);
    (void)unlink(path);
    assert_true(weft_tls_expires_s(p->tls) - weft_tls_begins_s(p->tls) == 3660);
    p->ctx = SSL_CTX_new(TLS_client_method());
    (void)SSL_CTX_set_max_proto_version(p->ctx, version);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds), 0);
    p->server = SSL_new(weft_tls_context(p->tls));
    p->client = SSL_new(p->ctx);
    (void)SSL_set_fd(p->server, p->fds[0]);
    (void)SSL_set_fd(p->client, p->fds[1]);
    for (int i = 0; i < 20 && done < 2; i++) {
        done = (SSL_connect(p->client) == 1) + (SSL_accept(p->server) == 1);
    }
    assert_int_equal(done, 2);
    /* As of another owner that goes on without it. */
    assert_true(weft_tls_session_begin(p->server, p->fds[0]));
    SSL_free(p->server);
    weft_tls_unref(p->tls); /* connections keep what they began with */
}

static void close_pair(struct pair *p, bool broken)
{
    weft_tls_session_end(p->server, broken);
    SSL_free(p->client);
    SSL_CTX_free(p->ctx);
    (void)close(p->fds[0]);
    (void)close(p->fds[1]);
}

static ssize_t read_some(struct pair *p, char *out, size_t size)
{
    unsigned records = 10;

    return weft_tls_session_read(p->server, out, size, &records);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void pieces(void **state)
{
    static char text[40000], got[sizeof(text)];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * 7 + i / 251);
    }
    for (size_t v = 0; v < 2; v++) {
        struct iovec iov[] = {
            {text, 1}, {text + 1, 0}, {text + 1, 20000}, {text + 20001, 4}, {text + 20005, 19995}};
        char in[16];
        struct pair p;
        size_t wire;
        size_t n = 0;

        open_pair(&p, versions[v]);
        assert_int_equal(read_some(&p, in, sizeof(in)), 0);
        assert_int_equal(SSL_write(p.client, "hello you", 9), 9);
        assert_int_equal(read_some(&p, in, 5), 5);
        assert_memory_equal(in, "hello", 5);
        assert_int_equal(read_some(&p, in, sizeof(in)), 4);
        assert_int_equal(read_some(&p, in, sizeof(in)), 0);

        assert_int_equal(weft_tls_session_write(p.server, iov, 5, &wire), sizeof(text));
        /* Three records: 16384, 16384 and the rest, however it was cut. */
        assert_in_range(wire, sizeof(text) + 3 * 20, sizeof(text) + 3 * 40);
        while (n < sizeof(got)) {
            int rc = SSL_read(p.client, got + n, (int)(sizeof(got) - n));

            assert_true(rc > 0);
            n += (size_t)rc;
        }
        assert_memory_equal(got, text, sizeof(text));
        assert_int_equal(weft_tls_session_write(p.server, iov, 0, &wire), 0);
        assert_int_equal(wire, 0);
        close_pair(&p, false);
    }
}

/* The reader takes a little now and then; each write begins where the last one was not taken, from elsewhere, cut otherwise. */
static void stalls(void **state)
{
    enum { TOTAL = 3000000 };
    char *text = malloc(TOTAL);
    char *got = malloc(TOTAL);
    unsigned chance = 1;

    (void)state;
    for (size_t i = 0; i < TOTAL; i++) {
        text[i] = (char)(i * 31 + i / 1000);
    }
    for (size_t v = 0; v < 2; v++) {
        struct pair p;
        size_t sent = 0;
        size_t read = 0;
        size_t refused = 0;

        open_pair(&p, versions[v]);
        while (read < TOTAL) {
            char *copy = malloc(TOTAL - sent + 1);
            struct iovec iov[3];
            size_t wire;
            size_t rest = TOTAL - sent;

            memcpy(copy, text + sent, rest);
            chance = chance * 1103515245 + 12345;
            iov[0] = (struct iovec){copy, rest < 1000 ? rest / 2 : chance % 1000};
            iov[1] = (struct iovec){copy + iov[0].iov_len, (rest - iov[0].iov_len) / 2};
            iov[2] = (struct iovec){copy + iov[0].iov_len + iov[1].iov_len,
                                    rest - iov[0].iov_len - iov[1].iov_len};
            if (rest > 0) {
                ssize_t n = weft_tls_session_write(p.server, iov, 3, &wire);

                assert_true(n >= 0);
                refused += (size_t)n < rest;
                sent += (size_t)n;
            }
            free(copy);
            for (int k = 0; k < 3 && read < TOTAL; k++) {
                int want = (int)(chance >> 8) % 30000 + 1;
                int rc = SSL_read(p.client, got + read,
                                  want < (int)(TOTAL - read) ? want : (int)(TOTAL - read));

                read += rc > 0 ? (size_t)rc : 0;
            }
        }
        assert_int_equal(sent, TOTAL);
        assert_true(refused > 3);
        assert_memory_equal(got, text, TOTAL);
        close_pair(&p, false);
    }
    free(text);
    free(got);
}

static void change_keys(struct pair *p, int times)
{
    for (int i = 0; i < times; i++) {
        assert_int_equal(SSL_key_update(p->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(p->client), 1);
    }
}

static void new_keys(void **state)
{
    struct pair p;
    char in[16];
    unsigned records = 50;

    (void)state;
    open_pair(&p, TLS1_3_VERSION);
    change_keys(&p, 40);
    assert_int_equal(SSL_write(p.client, "after", 5), 5);
    assert_int_equal(weft_tls_session_read(p.server, in, sizeof(in), &records), 5);
    assert_in_range(records, 1, 10);
    /* And nothing but: it is not read to its end. */
    change_keys(&p, 100);
    assert_int_equal(SSL_write(p.client, "never", 5), 5);
    assert_int_equal(weft_tls_session_read(p.server, in, sizeof(in), &records), -1);
    assert_int_equal(records, 0);
    close_pair(&p, true);
}

static void ends(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct iovec iov = {(void *)(uintptr_t) "x", 1};
        struct pair p;
        size_t wire;
        char in[16];

        /* The server has said all, and still listens. */
        open_pair(&p, versions[v]);
        weft_tls_session_finish(p.server);
        assert_int_equal(SSL_read(p.client, in, sizeof(in)), 0);
        assert_int_equal(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
        assert_int_equal(SSL_write(p.client, "bye", 3), 3);
        assert_int_equal(read_some(&p, in, sizeof(in)), 3);
        assert_int_equal(weft_tls_session_write(p.server, &iov, 1, &wire), -1);
        close_pair(&p, true);

        /* The client says goodbye; or is gone; or sends what no key fits. */
        open_pair(&p, versions[v]);
        (void)SSL_shutdown(p.client);
        assert_int_equal(read_some(&p, in, sizeof(in)), -1);
        close_pair(&p, true);
        open_pair(&p, versions[v]);
        (void)shutdown(p.fds[1], SHUT_RDWR);
        assert_int_equal(read_some(&p, in, sizeof(in)), -1);
        close_pair(&p, true);
        open_pair(&p, versions[v]);
        assert_int_equal(
            write(p.fds[1], "\x17\x03\x03\x00\x20 0123456789012345678901234567890", 37), 37);
        assert_int_equal(read_some(&p, in, sizeof(in)), -1);
        close_pair(&p, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(stalls),
        cmocka_unit_test(new_keys),
        cmocka_unit_test(ends),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the node does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
