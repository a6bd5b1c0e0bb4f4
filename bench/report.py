"""What a run says: rows and verdicts on the terminal, every figure in one object, and what missed its limit."""
options = None  # of the command line: rounds, seconds, quick, no_counts, community
figures = {}
missed = []


def title(name, text):
    print(f"\n{name}: {text}")
    print(f"  {'':34}{'requests/s':>12}{'CPU us/req':>12}{'p50 ms':>9}{'p99 ms':>9}")


def row(name, figure):
    cells = [("per_second", 12, "{:,.0f}"), ("cpu_us", 12, "{:.2f}"), ("p50_ms", 9, "{:.2f}"), ("p99_ms", 9, "{:.2f}")]
    print(f"  {name:34}" + "".join(
        (form.format(figure[key]) if key in figure else "").rjust(width) for key, width, form in cells) +
        ("   ERRORS: %d" % figure["bad"] if figure.get("bad") else ""), flush=True)


def verdict(bench, what, value, limit, at_most, unit=""):
    good = value <= limit if at_most else value >= limit
    word = "at most" if at_most else "at least"
    print(f"  {what:34}{value:12,.2f}{unit}   {word} {limit:,g}{unit}: {'ok' if good else 'MISSED'}", flush=True)
    figures.setdefault(bench, {})[what] = value
    if not good:
        missed.append(f"{bench}: {what} {value:,.2f}{unit}, {word} {limit:,g}{unit}")


def keep(bench, results):
    figures.setdefault(bench, {}).update(results)
