/* Values of fields straight from a row of the store into JSON, with no value in between for the
 * common types. */
#include "base/json.h"
#include "contract/contract.h"

static struct store_value value_at(const struct store_rows *rows, unsigned column)
{
    switch (store_rows_kind(rows, column)) {
    case STORE_I64:
        return store_i64(store_rows_i64(rows, column));
    case STORE_DOUBLE:
        return store_double(store_rows_double(rows, column));
    case STORE_TEXT:
        return store_text(store_rows_bytes(rows, column));
    case STORE_BLOB:
        return store_blob(store_rows_bytes(rows, column));
    case STORE_NULL:
        break;
    }
    return store_null();
}

void contract_value_write_rows(const struct contract_field *field, const struct store_rows *rows,
                               unsigned column, struct buf *out)
{
    struct store_value values[2] = { value_at(rows, column) };
    switch (field->type) {
    case CONTRACT_STRING:
    case CONTRACT_TEXT:
        if (values[0].kind == STORE_TEXT) {
            json_put_string(out, values[0].as.bytes);
            return;
        }
        break;
    case CONTRACT_MONEY:
        if (values[0].kind != STORE_NULL)
            values[1] = value_at(rows, column + 1);
        break;
    default:
        break;
    }
    contract_value_write(field, values, out);
}
