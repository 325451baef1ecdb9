#include "worker_priv.h"

#include <weft/guard/breakers.h>

void weft_handle_breakers(struct weft_call *call)
{
    weft_control_ask(call, weft_breakers_ask_list());
}
