#include "flashbench/report.h"

#include <string.h>

/* The page's parts, as they lie in page/, put into the program as terminated texts. */
#define EMBED(name, file)                                                                                 \
    __asm__(".section .rodata\n" #name ":\n.incbin \"perf/flashbench/page/" file "\"\n.byte 0\n.text\n"); \
    extern const char name[] /* NOLINT(bugprone-macro-parentheses): a name that is declared */

EMBED(page_style, "page.css");
EMBED(page_script, "page.js");
EMBED(page_body, "page.html");
EMBED(uplot_style, "uPlot.min.css");
EMBED(uplot_script, "uPlot.iife.min.js");
EMBED(uplot_licence, "uPlot.LICENSE");

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
        text_add(out, documents[i].bytes, documents[i].length);
    }
    text_add_string(out, "]</script>\n<!--\nuPlot, embedded below, is under this licence:\n\n");
    text_add_string(out, uplot_licence);
    text_add_string(out, "-->\n<script>\n");
    text_add_string(out, uplot_script);
    text_add_string(out, "\n</script>\n<script>\n");
    text_add_string(out, page_script);
    text_add_string(out, "</script>\n</body>\n</html>\n");
}
