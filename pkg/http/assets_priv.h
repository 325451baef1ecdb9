/* Files that travel in the program: pkg/dashboard/ and docs/openapi.yaml.
 *
 * The table is written by the build (scripts/cmake/EmbedAssets.cmake), sorted by path, and lives
 * as long as the program. It does not know at which URLs the files are served. */
#ifndef WEFT_HTTP_ASSETS_PRIV_H
#define WEFT_HTTP_ASSETS_PRIV_H

#include <stddef.h>

struct weft_asset {
    const char *path;         /* the file's name without folder: "index.html", "openapi.yaml" */
    const char *content_type; /* with charset where it has one */
    const char *etag;         /* hash of the content, in its quotes as the header wants it */
    const unsigned char *data;
    size_t len;
};

/* One row after the last (weft_assets[weft_assets_len]) has NULL for its path. */
extern const struct weft_asset weft_assets[];
extern const size_t weft_assets_len;

#endif
