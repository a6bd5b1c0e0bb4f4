/*
 * identity/mail_template.h - Private to mail: templates with placeholders.
 *
 *     {{link}}                      a value, escaped for where it stands
 *     {{#name}}Hello {{name}}{{/name}}   only when there is one
 *     {{^name}}Hello{{/name}}       only when there is none
 *     {{! a note }}                 nothing
 *
 * Sections may be inside each other. Which values there are depends on the kind of mail: others
 * are refused when the template is read, never left empty in somebody's mail.
 */
#pragma once

#include <stdbool.h>

#include "base/diag.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/mail.h"

struct arena;
struct buf;

enum identity__mail_value {
    IDENTITY__MAIL_APP,
    IDENTITY__MAIL_TO,
    IDENTITY__MAIL_NAME,
    IDENTITY__MAIL_LINK,
    IDENTITY__MAIL_CODE,
    IDENTITY__MAIL_DEVICE,
    IDENTITY__MAIL_IP,
    IDENTITY__MAIL_NEW_ADDRESS,
    IDENTITY__MAIL_INVITER,
    IDENTITY__MAIL_FACTOR,
    IDENTITY__MAIL_WHEN,
    IDENTITY__MAIL_EXPIRES_IN,
    IDENTITY__MAIL_EXPIRES_AT,
    IDENTITY__MAIL_VALUES
};
#define IDENTITY__MAIL_BIT(value) (1u << (value))
extern const struct slice identity__mail_value_names[IDENTITY__MAIL_VALUES];
/* Bits: the values that mails of this kind have, and those that are never empty. */
unsigned identity__mail_values_of(enum identity_mail_kind kind);
unsigned identity__mail_needed(enum identity_mail_kind kind);

#define IDENTITY__MAIL_TEMPLATE_MAX ((size_t)128 * 1024)
#define IDENTITY__MAIL_PLACES_MAX 512u /* placeholders of one template */
#define IDENTITY__MAIL_DEPTH_MAX 8u    /* of sections */

struct identity__mail_template;

/*
 * Read a template. `allowed` are bits of the values it may name; `file` and `line` (of its first
 * line) are for complaints, of which there may be several.
 *
 * Errors   INVALID, said in `diag`; EXHAUSTED.
 * Memory   in `arena`, with pieces of `source`.
 */
enum status identity__mail_template_read(struct arena *arena, struct slice source, bool is_html,
                                         unsigned allowed, struct slice file, int line,
                                         struct diag *diag,
                                         struct identity__mail_template **ret_template);
/* Write it with these values, which are escaped. */
void identity__mail_template_put(const struct identity__mail_template *template,
                                 const struct slice values[IDENTITY__MAIL_VALUES], struct buf *out);
