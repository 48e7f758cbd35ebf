#include "flashbench/report.h"

#include <string.h>

/* Embeds a file of page/ in the program as a terminated text. */
#define EMBED(name, file)                                                                                 \
    __asm__(".section .rodata\n" #name ":\n.incbin \"perf/flashbench/page/" file "\"\n.byte 0\n.text\n"); \
    extern const char name[] /* NOLINT(bugprone-macro-parentheses): a name that is declared */

EMBED(page_style, "page.css");
EMBED(page_script, "page.js");
EMBED(page_body, "page.html");
EMBED(uplot_style, "uPlot.min.css");
EMBED(uplot_script, "uPlot.iife.min.js");
EMBED(uplot_licence, "uPlot.LICENSE");

/*
 * Adds JSON so that it cannot end the script element around it, whatever its texts hold: characters with a meaning in HTML ("</script>",
 * "<!--") and those that older JavaScript took for line ends (U+2028, U+2029) become \u escapes, which mean the same in a JSON text.
 */
static void add_json(struct text *out, const struct text *json)
{
    const char *end = json->bytes + json->length;

    for (const char *at = json->bytes; at < end; at++) {
        if (*at == '<' || *at == '>' || *at == '&') {
            text_format(out, "\\u%04x", (unsigned)*at);
        } else if (end - at >= 3 && (memcmp(at, "\xe2\x80\xa8", 3) == 0 || memcmp(at, "\xe2\x80\xa9", 3) == 0)) {
            text_add_string(out, at[2] == '\xa8' ? "\\u2028" : "\\u2029");
            at += 2;
        } else {
            text_add(out, at, 1);
        }
    }
}

void report_html(const struct text *documents, size_t count, struct text *out)
{
    text_add_string(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                         "<title>flashbench</title>\n<style>\n");
    text_add_string(out, uplot_style);
    text_add_string(out, "\n");
    text_add_string(out, page_style);
    text_add_string(out, "</style>\n</head>\n<body>\n");
    text_add_string(out, page_body);
    text_add_string(out, "<script type=\"application/json\" id=\"results\">[");
    for (size_t i = 0; i < count; i++) {
        text_add_string(out, i > 0 ? "," : "");
        add_json(out, &documents[i]);
    }
    text_add_string(out, "]</script>\n<!--\nuPlot, embedded below, is under this licence:\n\n");
    text_add_string(out, uplot_licence);
    text_add_string(out, "-->\n<script>\n");
    text_add_string(out, uplot_script);
    text_add_string(out, "\n</script>\n<script>\n");
    text_add_string(out, page_script);
    text_add_string(out, "</script>\n</body>\n</html>\n");
}
