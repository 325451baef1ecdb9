#include "servers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_MAX 16384

static bool add(struct servers *servers, const char *url, size_t len)
{
    size_t scheme;

    while (len > 0 && url[len - 1] == '/')
        len--;
    if (len > 7 && strncmp(url, "http://", 7) == 0)
        scheme = 7;
    else if (len > 8 && strncmp(url, "https://", 8) == 0)
        scheme = 8;
    else
        scheme = 0;
    if (scheme == 0 || len >= SERVERS_URL_MAX ||
        strcspn(url + scheme, "?# \t\r\n") < len - scheme) {
        args_complain("--url: 'http://HOST:PORT' is needed, not '%.*s'", (int)len, url);
        return false;
    }
    if (servers->n == SERVERS_MAX) {
        args_complain("--url: more than %d addresses", SERVERS_MAX);
        return false;
    }
    memcpy(servers->urls[servers->n], url, len);
    servers->urls[servers->n][len] = '\0';
    servers->n++;
    return true;
}

static bool add_list(struct servers *servers, const char *list)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");

        if (len > 0 && !add(servers, list, len))
            return false;
        list += len;
        list += *list == ',';
    }
    return true;
}

static bool set_ca(struct servers *servers, const char *given)
{
    const char *env = getenv("WEFT_CA");

    servers->ca = given != NULL ? given : env != NULL && env[0] != '\0' ? env : NULL;
    if (servers->ca != NULL && access(servers->ca, R_OK) != 0) {
        args_complain("--ca: %s: %s", servers->ca, strerror(errno));
        return false;
    }
    return true;
}

/* The first line of the file, without what is around it. */
static bool read_token(const char *path, char *token, size_t size)
{
    FILE *in = fopen(path, "re");
    bool ok = in != NULL && fgets(token, (int)size, in) != NULL;

    if (in == NULL) {
        args_complain("--token-file: %s: %s", path, strerror(errno));
    } else {
        if (ok)
            token[strcspn(token, " \t\r\n")] = '\0';
        ok = ok && token[0] != '\0';
        if (!ok)
            args_complain("--token-file: %s: there is no token in it", path);
        fclose(in);
    }
    return ok;
}

bool servers_prepare(const struct servers *servers, CURL *curl)
{
    char token[TOKEN_MAX] = "";

    if (servers->ca != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, servers->ca);
    if (servers->token_file != NULL && !read_token(servers->token_file, token, sizeof(token)))
        return false;
    if (servers->token_file != NULL || servers->token != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER,
                         servers->token_file != NULL ? token : servers->token);
    }
    return true;
}

bool servers_init(struct servers *servers, const struct servers_given *given)
{
    const char *env = getenv("WEFT_URL");

    const char *token = getenv("WEFT_TOKEN");

    servers->n = 0;
    servers->current = 0;
    servers->token_file = given->token_file;
    servers->token = token != NULL && token[0] != '\0' ? token : NULL;
    if (!set_ca(servers, given->ca))
        return false;
    for (size_t i = 0; i < given->urls.n; i++) {
        if (!add_list(servers, given->urls.items[i]))
            return false;
    }
    if (servers->n == 0 && env != NULL && !add_list(servers, env))
        return false;
    return servers->n > 0 || add_list(servers, "http://127.0.0.1:8080");
}

const char *servers_current(const struct servers *servers)
{
    return servers->urls[servers->current];
}

void servers_rotate(struct servers *servers)
{
    servers->current = (servers->current + 1) % servers->n;
}
