/*
 * cmd/rules_file.h - A file of cases for purlin rules test: callers, rows, and who may do what to
 * which.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/yaml.h"
#include "contract/contract.h"
#include "fiber/task.h"

struct app;

#define RULES_CALLERS_MAX 64u /* as many as bits */
#define RULES_ROWS_MAX 1000u
#define RULES_CASES_MAX 2000u

struct rules_row {
    const struct contract *contract;
    struct slice name;
    struct uuid id;
    struct yaml_node *node; /* its fields; names of rows are ids in it */
};

struct rules_caller {
    struct slice name;
    struct task_caller caller;
};

/* One action, of all callers. */
struct rules_case {
    int line, column;
    enum contract_action action;
    const struct contract *contract;
    const struct rules_row *row; /* NULL: of create */
    struct yaml_node *body;      /* of create and update; NULL: none */
    uint64_t allowed;            /* a bit for each caller */
};

struct rules_file {
    struct slice path;
    struct rules_row *rows; /* in the order of the file */
    unsigned rows_len;
    struct rules_caller *callers;
    unsigned callers_len;
    struct rules_case *cases;
    unsigned cases_len;
};

/* Read it; what is wrong goes to app->diag, each with its line. False: something was. */
bool rules_file_read(struct app *app, struct slice path, struct rules_file *ret);
