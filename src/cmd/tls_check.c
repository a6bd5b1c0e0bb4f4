/* What is wrong with the files that tls.* names, for `purlin check`. */
#include "base/arena.h"
#include "base/diag.h"
#include "cmd/config.h"
#include "cmd/tls.h"
#include "net/net.h"

static void put_problem(void *arg, const char *text)
{
    diag_add(arg, SLICE("configuration"), 0, 0, SLICE("tls"), SLICE_NULL, "%s", text);
}

void tls_check(const struct config *config, int64_t now_us, struct arena *arena, struct diag *diag)
{
    struct net_tls_options options;
    if (!config_has_tls(config))
        return;
    if (tls_options_of(config, arena, &options) != STATUS_OK)
        put_problem(diag, "there is no memory for the certificates");
    else
        net_tls_check(&options, now_us, put_problem, diag);
}
