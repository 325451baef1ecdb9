#include <weft/wire/page.h>

#include <stdlib.h>

struct weft_page *weft_page_create(size_t n_gaps)
{
    struct weft_page *page = calloc(1, sizeof(*page) + n_gaps * sizeof(page->gaps[0]));

    if (page != NULL) {
        atomic_init(&page->refs, 1);
        page->n_gaps = n_gaps;
    }
    return page;
}

struct weft_page *weft_page_ref(struct weft_page *page)
{
    (void)atomic_fetch_add_explicit(&page->refs, 1, memory_order_relaxed);
    return page;
}

void weft_page_unref(struct weft_page *page)
{
    if (page != NULL && atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) == 1) {
        weft_batch_unref(page->batch);
        free(page);
    }
}
