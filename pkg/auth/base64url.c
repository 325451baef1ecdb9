#include "base64url_priv.h"

#include <stdint.h>

/* 1 + what a character stands for; 0: it is none. Ranges in initializers cannot count. */
static const unsigned char values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

bool weft_base64url_valid(struct weft_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (values[(unsigned char)text.p[i]] == 0) {
            return false;
        }
    }
    return true;
}

bool weft_base64url_decode(unsigned char *out, size_t *ret_len, struct weft_str text)
{
    uint32_t bits = 0; /* of which n_bits are not yet written */
    unsigned n_bits = 0;
    size_t len = 0;

    if (text.len % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char value = values[(unsigned char)text.p[i]];

        if (value == 0) {
            return false;
        }
        bits = (bits << 6 | (value - 1U)) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[len++] = (unsigned char)(bits >> n_bits);
        }
    }
    *ret_len = len;
    return (bits & ((1U << n_bits) - 1)) == 0;
}
