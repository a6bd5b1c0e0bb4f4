/*
 * base/yaml.h - YAML (the safe part: no tags, aliases bounded or refused, no merge keys) read by
 * libyaml into a tree that remembers where each node stood, so that every complaint can name its
 * line.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/slice.h"
#include "base/status.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    int line, column;
    bool quoted;             /* a quoted or block scalar: always text */
    struct slice text;       /* SCALAR */
    struct yaml_node *first; /* items, or the values of a map, in order */
    struct yaml_node *next;
    struct yaml_node *key; /* of a map's value: its key node */
    unsigned len;
};

struct yaml_limits {
    size_t bytes_max;   /* 0: 1 MiB */
    unsigned nodes_max; /* 0: 50000 */
    unsigned depth_max; /* 0: 32 */
};

/*
 * Read one document. Duplicate keys, tabs, anchors, tags, bad UTF-8 and several documents are
 * problems in `diag` and INVALID. Memory  the tree lives in the arena.
 */
enum status yaml_read(struct slice text, struct slice file, struct yaml_limits limits,
                      struct arena *arena, struct diag *diag, struct yaml_node **ret_root);
/* The value of `key` in a map, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, struct slice key);

/* Plain scalars by the YAML 1.2 core schema. */
bool yaml_is_null(const struct yaml_node *node);
bool yaml_to_bool(const struct yaml_node *node,
                  bool *ret); /* true, false (and yes/no are refused, so that "no" stays text) */
bool yaml_to_i64(const struct yaml_node *node, int64_t *ret);
bool yaml_to_double(const struct yaml_node *node, double *ret);
/* The node as JSON, in the arena (see base/json.h on such trees); NULL when the budget is spent. */
json_t *yaml_to_json(const struct yaml_node *node, struct arena *arena);
