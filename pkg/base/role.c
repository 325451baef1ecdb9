#include <weft/base/role.h>

#include <weft/base/assert.h>

struct weft_role weft_role_hub;
struct weft_role weft_role_worker;
struct weft_role weft_role_control;

void weft_role_assert_hub(pthread_t owner)
{
    WEFT_ASSERT(pthread_equal(pthread_self(), owner));
}

void weft_role_assert_worker(pthread_t owner)
{
    WEFT_ASSERT(pthread_equal(pthread_self(), owner));
}

void weft_role_assert_control(pthread_t owner)
{
    WEFT_ASSERT(pthread_equal(pthread_self(), owner));
}
