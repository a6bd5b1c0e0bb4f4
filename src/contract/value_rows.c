/* Values of fields straight from a row of the store into JSON, with no value in between for the
 * common types. */
#include "base/json.h"
#include "contract/contract.h"

void contract_value_write_rows(const struct contract_field *field, const struct store_rows *rows,
                               unsigned column, struct buf *out)
{
    struct store_value values[2] = { store_rows_value(rows, column) };
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
            values[1] = store_rows_value(rows, column + 1);
        break;
    default:
        break;
    }
    contract_value_write(field, values, out);
}
