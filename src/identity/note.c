/* identity/note.c - This room's lines of the audit log. */
#include "identity/note.h"

#include "base/buf.h"
#include "base/json.h"
#include "identity/room.h"

static struct slice id_text(const struct uuid *id, char text[UUID_TEXT_LEN])
{
    uuid_format(id, text);
    return slice_of(text, UUID_TEXT_LEN);
}

static void set_act(struct identity_note *note, enum identity_audit_act act,
                    const struct uuid *user)
{
    note->event.act = act;
    if (!user)
        return;
    note->event.subject_kind = SLICE("user");
    note->event.subject_id = id_text(user, note->subject);
}

void identity_note_init(struct identity_note *note, struct identity *identity,
                        struct http_request *req, enum identity_audit_act act,
                        const struct uuid *user)
{
    *note = (struct identity_note){ .identity = identity };
    identity_audit_from_request(req, &note->event);
    set_act(note, act, user);
}

void identity_note_operator(struct identity_note *note, struct identity *identity,
                            enum identity_audit_act act, const struct uuid *user)
{
    *note = (struct identity_note){ .identity = identity };
    note->event.actor = IDENTITY_AUDIT_OPERATOR;
    note->event.actor_id = identity->options.operator_name;
    set_act(note, act, user);
}

void identity_note_by_user(struct identity_note *note, const struct uuid *user)
{
    note->event.actor = IDENTITY_AUDIT_USER;
    note->event.actor_id = id_text(user, note->actor);
}

enum status identity_note_client(struct identity_note *note, struct arena *arena,
                                 struct slice client_id, struct slice scope)
{
    struct buf b;
    buf_init(&b, arena, 128, IDENTITY_AUDIT_DETAILS_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("client_id"));
    json_out_string(&o, slice_head(client_id, IDENTITY_AUDIT_ID_MAX));
    if (scope.len) {
        json_out_key(&o, SLICE("scope"));
        json_out_string(&o, scope);
    }
    json_out_end(&o);
    note->event.details = buf_slice(&b);
    return buf_status(&b);
}

enum status identity_note_put(struct store_tx *tx, const struct identity_note *note)
{
    struct identity_audit *audit = note->identity->options.audit;
    return audit ? identity_audit_put(tx, audit, &note->event) : STATUS_OK;
}

void identity_note_later(const struct identity_note *note)
{
    if (note->identity->options.audit)
        identity_audit_note(note->identity->options.audit, &note->event);
}
