/*
 * identity/qr.h - A QR code as a picture within a page. Private to the room.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#define IDENTITY_QR_TEXT_MAX 512u /* bytes; what is longer is hard to scan from a screen */

/*
 * Append an <svg> that shows `text`, dark on light whatever the page's colours are, for scanners
 * read nothing else. `label` (constant) is what screen readers say.
 *
 * Errors   TOO_LARGE: nothing was appended; EXHAUSTED.
 * Context  never suspends; some 100 us.
 */
enum status identity_qr_put(struct buf *out, struct slice text, const char *label);
