/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See out.h. */
#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

enum {
    WIDTH_UNKNOWN = 80,
    COLUMN_MIN = 8,
    LAST_MIN = 24, /* columns in which a sentence can be read */
    BELOW = 6,     /* where it goes otherwise */
    GAP = 2,
};

static const char *const style_codes[] = {
    [OUT_PLAIN] = "",        [OUT_BOLD] = "\033[1m",  [OUT_DIM] = "\033[2m",
    [OUT_GOOD] = "\033[32m", [OUT_WARN] = "\033[33m", [OUT_BAD] = "\033[31m",
};

void out_init(struct out *out, FILE *file)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    struct winsize size;

    *out = (struct out){.file = file};
    if (isatty(fileno(file)) == 0) {
        return;
    }
    out->colour = (no_color == NULL || *no_color == '\0') && term != NULL && *term != '\0' &&
                  !str_equal(term, "dumb");
    out->width = WIDTH_UNKNOWN;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        out->width = size.ws_col;
    }
}

/* Bytes of UTF-8 pass; C0, DEL and the C1 controls (0xc2 0x80 to 0xc2 0x9f) do not. */
static void put_clean(FILE *file, const char *text, bool newlines)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        unsigned char next = (unsigned char)text[1];
        bool steers = (c < 0x20 && !(newlines && c == '\n')) || c == 0x7f ||
                      (c == 0xc2 && next >= 0x80 && next < 0xa0);

        (void)fputc(steers ? '?' : c, file); /* write errors: main() looks at the end */
        if (steers && c == 0xc2) {
            text++;
        }
    }
}

static void put_styled(const struct out *out, enum out_style style, const char *text, bool newlines)
{
    bool paint = out->colour && style != OUT_PLAIN;

    if (paint) {
        (void)fputs(style_codes[style], out->file); /* as above */
    }
    put_clean(out->file, text, newlines);
    if (paint) {
        (void)fputs("\033[0m", out->file); /* as above */
    }
}

void out_printf(const struct out *out, enum out_style style, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        text = NULL; /* undefined after a failure */
        (void)fputs("(out of memory)", out->file);
        return;
    }
    put_styled(out, style, text, true);
}

void out_text(const struct out *out, const char *text)
{
    put_clean(out->file, text, true);
}

/* --- tables ------------------------------------------------------------------------------- */

void out_table_init(struct out_table *table, const char *const *heads, size_t columns)
{
    *table = (struct out_table){.heads = heads, .columns = columns};
}

void out_table_fini(struct out_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        free(table->cells[i].text);
    }
    free(table->cells);
    *table = (struct out_table){0};
}

void out_table_add(struct out_table *table, enum out_style style, const char *text)
{
    char *copy = str_dup(text != NULL && *text != '\0' ? text : "-");

    if (copy == NULL ||
        vec_reserve(&table->cells, table->n, &table->cap, sizeof(table->cells[0])) < 0) {
        free(copy);
        table->failed = true;
        return;
    }
    table->cells[table->n++] = (struct out_cell){.text = copy, .style = style};
}

void out_table_add_below(struct out_table *table, const char *text)
{
    size_t first = table->n;

    for (size_t c = 0; c < table->columns; c++) {
        out_table_add(table, OUT_PLAIN, c == 0 ? text : NULL);
    }
    if (!table->failed) {
        table->cells[first].below = true;
    }
}

void out_table_addf(struct out_table *table, enum out_style style, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        text = NULL; /* undefined after a failure */
        table->failed = true;
        return;
    }
    out_table_add(table, style, text);
}

/* Wide characters count as one: a line with them is a little long. */
size_t out_columns(const char *text, size_t bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++) {
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return n;
}

size_t out_line(const char *text, size_t width)
{
    size_t bytes = 0, columns = 0, blank = 0;

    while (text[bytes] != '\0') {
        if (((unsigned char)text[bytes] & 0xc0) != 0x80 && ++columns > width) {
            return blank > 0 ? blank : bytes;
        }
        bytes++;
        if (text[bytes] == ' ') {
            blank = bytes;
        }
    }
    return bytes;
}

static void put_blanks(const struct out *out, size_t n)
{
    for (; n > 0; n--) {
        (void)fputc(' ', out->file); /* as above */
    }
}

/* The last cell of a row, which begins in column `at`: what does not fit goes below it; where there
 * is no room for it, all of it goes below the row. */
static void put_last(const struct out *out, const struct out_cell *cell, size_t at)
{
    const char *text = cell->text;
    bool fits = out->width == 0 || at + out_columns(text, strlen(text)) <= out->width;
    size_t indent = fits || at + LAST_MIN <= out->width ? at : BELOW;
    size_t width = out->width > indent + COLUMN_MIN ? out->width - indent : COLUMN_MIN;

    if (indent != at) {
        (void)fputc('\n', out->file); /* as above */
        put_blanks(out, indent);
    }
    while (*text != '\0') {
        size_t bytes = fits ? strlen(text) : out_line(text, width);
        CLEANUP_FREE char *line = str_ndup(text, bytes);

        put_styled(out, cell->style, line != NULL ? line : "(out of memory)", false);
        text += bytes;
        text += strspn(text, " ");
        if (*text != '\0') {
            (void)fputc('\n', out->file); /* as above */
            put_blanks(out, indent);
        }
    }
}

static void measure(const struct out_table *table, size_t widths[OUT_COLUMNS_MAX])
{
    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = strlen(table->heads[c]);
    }
    for (size_t i = 0; i < table->n; i++) {
        size_t width = out_columns(table->cells[i].text, strlen(table->cells[i].text));
        size_t c = i % table->columns;

        if (!table->cells[i - c].below) {
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
}

/* One line: `cells` holds table->columns of them. */
static void put_row(const struct out_table *table, const struct out *out, const size_t *widths,
                    const struct out_cell *cells)
{
    size_t used = 0;

    if (cells[0].below) {
        put_blanks(out, BELOW);
        put_last(out, &cells[0], BELOW);
        (void)fputc('\n', out->file); /* as above */
        return;
    }
    for (size_t c = 0; c + 1 < table->columns; c++) {
        put_styled(out, cells[c].style, cells[c].text, false);
        put_blanks(out, widths[c] + GAP - out_columns(cells[c].text, strlen(cells[c].text)));
        used += widths[c] + GAP;
    }
    put_last(out, &cells[table->columns - 1], used);
    (void)fputc('\n', out->file); /* as above */
}

int out_table_print(const struct out_table *table, const struct out *out)
{
    struct out_cell heads[OUT_COLUMNS_MAX];
    size_t widths[OUT_COLUMNS_MAX];

    if (table->failed) {
        return -ENOMEM;
    }
    if (table->n < table->columns) {
        return 0;
    }
    for (size_t c = 0; c < table->columns; c++) {
        heads[c] = (struct out_cell){.text = (char *)table->heads[c],
                                     .style = OUT_BOLD}; /* only read */
    }
    measure(table, widths);
    put_row(table, out, widths, heads);
    for (size_t i = 0; i + table->columns <= table->n; i += table->columns) {
        put_row(table, out, widths, &table->cells[i]);
    }
    return 0;
}

/* --- times -------------------------------------------------------------------------------- */

const char *out_iso_time(const char *iso, char text[static OUT_TIME_SIZE])
{
    struct tm tm;
    int64_t seconds;
    time_t when;

    if (!str_to_seconds(iso, &seconds)) {
        return iso;
    }
    when = seconds;
    if (localtime_r(&when, &tm) == NULL ||
        strftime(text, OUT_TIME_SIZE, "%Y-%m-%d %H:%M:%S %Z", &tm) == 0) {
        return iso;
    }
    return text;
}

void out_table_add_said(struct out_table *table, const char *text)
{
    CLEANUP_FREE char *local = out_local_times(text);

    table->failed = table->failed || (text != NULL && local == NULL);
    out_table_add(table, OUT_PLAIN, local);
}

/* How long is the time that `at` begins with? 0: it begins with none. */
static size_t time_len(const char *at)
{
    static const char shape[] = "0000-00-00T00:00:00";
    size_t len = sizeof(shape) - 1;

    for (size_t i = 0; i < len; i++) {
        if (shape[i] == '0' ? !ascii_is_digit(at[i]) : at[i] != shape[i]) {
            return 0;
        }
    }
    if (at[len] == '.') {
        len++;
        len += strspn(at + len, "0123456789");
    }
    return at[len] == 'Z' ? len + 1 : 0;
}

char *out_local_times(const char *text)
{
    CLEANUP(buf_fini) struct buf line = BUF_INIT(0);

    while (text != NULL && *text != '\0') {
        size_t len = time_len(text);
        CLEANUP_FREE char *iso = str_ndup(text, len);
        char local[OUT_TIME_SIZE];

        if (iso == NULL) {
            return NULL;
        }
        if (len > 0) {
            buf_addf(&line, "%s", out_iso_time(iso, local));
        } else {
            buf_add(&line, text, 1);
        }
        text += len > 0 ? len : 1;
    }
    return text == NULL || line.error != 0 ? NULL : str_dup(line.len > 0 ? line.data : "");
}

void out_duration(int64_t seconds, char text[static OUT_TIME_SIZE])
{
    enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
    int64_t s = seconds > 0 ? seconds : 0;

    if (s < 2 * MINUTE) {
        (void)snprintf(text, OUT_TIME_SIZE, "%lld s", (long long)s); /* all of these fit */
    } else if (s < 2 * HOUR) {
        (void)snprintf(text, OUT_TIME_SIZE, "%lld min", (long long)(s / MINUTE));
    } else if (s < 2 * DAY) {
        (void)snprintf(text, OUT_TIME_SIZE, "%lld h", (long long)(s / HOUR));
    } else {
        (void)snprintf(text, OUT_TIME_SIZE, "%lld d", (long long)(s / DAY));
    }
}
