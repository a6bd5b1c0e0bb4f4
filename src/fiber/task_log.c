/* fiber/task_log.c - Log lines of a task: they carry whose request it was. */
#include "fiber/internal.h"
#include "fiber/task.h"

#define LOG_FIELDS_MAX 32u

void task_log(struct task *task, enum log_level level, const char *event,
              const struct log_field *fields, unsigned fields_len)
{
    if (!log_is_on(level))
        return;
    struct log_field all[LOG_FIELDS_MAX];
    unsigned len = 0;
    if (task->request_id.len > 0)
        all[len++] = LOG_TEXT("request_id", task->request_id);
    if (task->trace_id.len > 0)
        all[len++] = LOG_TEXT("trace_id", task->trace_id);
    for (unsigned i = 0; i < fields_len && len < LOG_FIELDS_MAX; i++)
        all[len++] = fields[i];
    log_write(level, event, all, len);
}
