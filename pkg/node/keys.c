#include "keys_priv.h"

#include <weft/auth/keychain.h>
#include <weft/config/config.h>

int weft_node_keys_read(struct weft_keychain *keychain, const struct weft_config *cfg,
                        struct weft_err *err)
{
    struct weft_err why;

    if (cfg->auth.jwks[0] != '\0' &&
        weft_keychain_poll(keychain, cfg->auth.jwks, &why) == WEFT_KEYCHAIN_WRONG) {
        return weft_err_set(err, why.code, "auth.jwks", "%s%s%s", why.field,
                            why.field[0] != '\0' ? ": " : "", why.message);
    }
    return 0;
}
