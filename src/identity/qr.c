/* identity/qr.c - QR codes, by libqrencode. */
#include "identity/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

#include "base/macros.h"

#define QUIET 4 /* modules of light around it that scanners need: ISO/IEC 18004 section 9.1 */

static bool is_dark(const QRcode *code, int x, int y)
{
    return (code->data[y * code->width + x] & 1) != 0;
}

/* A rectangle for each run of dark modules: a tenth of the bytes that one for each takes. */
static void put_row(struct buf *out, const QRcode *code, int y)
{
    int x = 0;
    while (x < code->width) {
        int from = x;
        while (x < code->width && is_dark(code, x, y))
            x++;
        if (x > from)
            buf_printf(out, "M%d %dh%dv1h-%dz", from + QUIET, y + QUIET, x - from, x - from);
        else
            x++;
    }
}

enum status identity_qr_put(struct buf *out, struct slice text, const char *label)
{
    if (text.len == 0 || text.len > IDENTITY_QR_TEXT_MAX)
        return STATUS_TOO_LARGE;
    QRcode *code =
        QRcode_encodeData((int)text.len, (const unsigned char *)text.data, 0, QR_ECLEVEL_M);
    if (!code)
        return errno == ERANGE ? STATUS_TOO_LARGE : STATUS_EXHAUSTED;
    int size = code->width + 2 * QUIET;
    buf_printf(out,
               "<svg class=\"qr\" role=\"img\" aria-label=\"%s\" viewBox=\"0 0 %d %d\" "
               "shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>"
               "<path fill=\"#000\" d=\"",
               label, size, size, size, size);
    for (int y = 0; y < code->width; y++)
        put_row(out, code, y);
    buf_put_lit(out, "\"/></svg>\n");
    QRcode_free(code);
    return buf_status(out);
}
