/*
 * http/file_cache.h - Files of a folder as they were at most a second ago. Private to the room.
 *
 * Each loop has its own: open files, the bytes of small ones, and codings made here. A name is
 * resolved by the kernel and cannot leave the folder (openat2 with RESOLVE_BENEATH: no "..", no
 * symbolic link that leads out; kernels without it walk the name and follow no link at all). What
 * the kernel knows without the disk is asked on the loop (RESOLVE_CACHED); the rest is a worker's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"
#include "base/status.h"
#include "fiber/task.h"
#include "http/coder.h"
#include "net/net.h"

struct http_app;
struct task;

#define HTTP__FILE_ENTRIES_MAX 256u                   /* of a loop and folder */
#define HTTP__FILE_CACHE_BYTES_MAX ((size_t)16 << 20) /* of what those hold in memory */
#define HTTP__FILE_SMALL_BYTES ((int64_t)16 * 1024)   /* held in memory whole */
#define HTTP__FILE_CODED_BYTES_MAX ((int64_t)4 << 20) /* larger ones are not compressed here */
#define HTTP__FILE_FRESH_US ((int64_t)1000 * 1000)

struct http__file_loop;

/* A file, held by whoever got it until it is released; the fields do not change meanwhile, except
 * `coded`. */
struct http__file {
    struct http__file *chain;         /* of its bucket */
    struct http__file *newer, *older; /* by use */
    struct http__file_loop *loop;
    uint64_t hash;
    unsigned refs; /* the cache has one */
    bool in_cache;
    bool is_folder;
    unsigned siblings; /* bits of codings of which there is a file that is not older */
    int64_t checked_us;
    struct net_file open; /* fd -1: a folder, or all of it is in memory */
    struct slice memory;  /* data NULL: not held */
    int64_t size, modified_us;
    dev_t device;
    ino_t inode;
    struct timespec modified, changed;
    char etag[72]; /* with quotes */
    uint8_t etag_len;
    struct task_latch coding; /* who makes one */
    struct slice coded[HTTP__CODING_COUNT];
    bool coded_tried[HTTP__CODING_COUNT];
    size_t bytes; /* of memory that it holds */
    size_t name_len;
    char name[];
};

struct http__file_cache;
/* INVALID: the folder cannot be opened; *ret_reason says so. */
enum status http__file_cache_new(const struct http_app *app, struct slice folder,
                                 struct http__file_cache **ret, const char **ret_reason);
void http__file_cache_free(struct http__file_cache *cache);

/* ".br" */
const char *http__file_suffix(enum http__coding coding);
/*
 * The file of that name. NOT_FOUND: none, or it cannot be read, or is neither file nor folder;
 * EXHAUSTED: no descriptor or worker free. Suspends when the disk must be asked.
 */
enum status http__file_get(struct task *task, struct http__file_cache *cache, struct slice name,
                           struct http__file **ret);
void http__file_release(struct http__file *f); /* accepts NULL */
/* All of it in a coding, made at the first call and kept with it; data NULL: it gets no smaller, or
 * nobody has the time. Suspends. */
enum status http__file_coded(struct task *task, struct http__file *f, enum http__coding coding,
                             struct slice *ret_coded);
