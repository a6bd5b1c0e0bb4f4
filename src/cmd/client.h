/*
 * cmd/client.h - The client of each loop (net/client.h), as the configuration wants it.
 */
#pragma once

struct app;
struct loop;

/* An exit status, having said what is wrong. After app_open_http, before the loops run. */
int clients_open(struct app *app, const char *verb, struct loop *const *loops, unsigned loops_len);
/* When the loops have stopped, before they are freed. */
void clients_close(struct app *app);
