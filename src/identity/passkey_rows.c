/* identity/passkey_rows.c - Passkeys in the store. */
#include "identity/passkey_rows.h"

const struct slice identity__passkey_schema =
    SLICE_INIT("CREATE TABLE IF NOT EXISTS purlin_passkeys (\n"
               "  id BLOB PRIMARY KEY CHECK (length(id) = 16),\n"
               "  user_id BLOB NOT NULL,\n"
               "  credential_id BLOB NOT NULL UNIQUE,\n"
               "  algorithm INTEGER NOT NULL,\n"
               "  public_key BLOB NOT NULL,\n"
               "  sign_count INTEGER NOT NULL,\n"
               "  transports TEXT NOT NULL,\n"
               "  aaguid BLOB NOT NULL,\n"
               "  name TEXT NOT NULL,\n"
               "  backup_eligible INTEGER NOT NULL,\n"
               "  backed_up INTEGER NOT NULL,\n"
               "  created_at INTEGER NOT NULL,\n"
               "  used_at INTEGER\n"
               ") STRICT;\n"
               "CREATE INDEX IF NOT EXISTS purlin_passkeys__by_user\n"
               "  ON purlin_passkeys (user_id, created_at);\n"

               /* Challenges that were answered, until they would have expired. */
               "CREATE TABLE IF NOT EXISTS purlin_passkey_challenges (\n"
               "  digest BLOB PRIMARY KEY,\n"
               "  expires_at INTEGER NOT NULL\n"
               ") STRICT, WITHOUT ROWID;\n"
               "CREATE INDEX IF NOT EXISTS purlin_passkey_challenges__by_expires_at\n"
               "  ON purlin_passkey_challenges (expires_at);\n");
