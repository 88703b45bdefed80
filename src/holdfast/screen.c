/* The live view: a head, one row for each node, then as many of the last lines as fit. */
#include "holdfast/dev.h"

#include "base/memory.h"
#include "holdfast/progress.h"
#include "holdfast/table.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct screen {
    SCREEN *terminal;
    bool asks_which; /* `k` was typed: a digit says which node */
};

struct screen *screen_open(void)
{
    const char *kind = getenv("TERM");
    SCREEN *terminal = kind && kind[0] ? newterm(NULL, stdout, stdin) : NULL;
    if (!terminal)
        return NULL;
    struct screen *screen = memory_zeroed(1, sizeof *screen);
    screen->terminal = terminal;
    set_term(terminal);
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    curs_set(0);
    return screen;
}

void screen_close(struct screen *screen)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen->terminal);
    memory_free(screen);
}

void screen_resize(struct screen *screen)
{
    struct winsize size;
    if (screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
        resizeterm(size.ws_row, size.ws_col);
}

/* ---- drawing ---- */

static void put(int row, attr_t attributes, const char *text)
{
    attron(attributes);
    mvaddnstr(row, 0, text, COLS);
    attroff(attributes);
    clrtoeol();
}

/* Bad news are longer than a line. */
static int put_sentence(int row, const struct dev *dev)
{
    const char *rest = dev->health.sentence;
    do {
        put(row++, dev->health.good ? A_NORMAL : A_BOLD, rest);
        rest += strlen(rest) < (size_t)COLS ? strlen(rest) : (size_t)COLS;
    } while (*rest);
    return row;
}

static void number_text(int64_t number, char out[24])
{
    snprintf(out, 24, number < 0 ? "-" : "%lld", (long long)number);
}

static void fill_table(struct table *table, const struct dev *dev)
{
    static const char *const titles[] = {"NODE",    "PID", "ADDRESS",  "ROLE", "STATE",
                                         "APPLIED", "LAG", "RESTARTS", NULL};
    table_init(table, titles);
    for (size_t i = 0; i < dev->count; i++) {
        const struct dev_node *node = &dev->nodes[i];
        char number[24], pid[24], applied[24], lag[24], restarts[24];
        number_text(node->number, number);
        number_text(node->pid ? node->pid : -1, pid);
        number_text(node->applied, applied);
        number_text(node->lag, lag);
        number_text(node->restarts, restarts);
        const char *cells[] = {number,      pid,     node->address, node->role,
                               node->state, applied, lag,           restarts};
        table_add_row(table, cells);
    }
}

static int draw_nodes(int row, const struct dev *dev)
{
    struct table table;
    char line[TABLE_COLUMNS_MAX * TABLE_CELL_SIZE];
    fill_table(&table, dev);
    for (size_t i = 0; i < table.rows; i++) {
        bool down = i > 0 && strcmp(dev->nodes[i - 1].state, "ready") != 0;
        table_line(&table, i, line, sizeof line);
        put(row++, i == 0 ? A_BOLD : down ? A_REVERSE : A_NORMAL, line);
    }
    table_deinit(&table);
    return row;
}

static void draw_lines(int row, const struct dev *dev)
{
    size_t kept = dev->line_count < DEV_LINES_MAX ? dev->line_count : DEV_LINES_MAX;
    size_t room = LINES - 1 > row ? (size_t)(LINES - 1 - row) : 0;
    size_t shown = kept < room ? kept : room;
    for (size_t i = 0; i < shown; i++)
        put(row++, A_NORMAL, dev->lines[(dev->line_count - shown + i) % DEV_LINES_MAX]);
}

static void starting_line(const struct dev *dev, char out[DEV_LINE_SIZE])
{
    char bar[PROGRESS_LINE_SIZE], what[64];
    size_t ready = 0;
    for (size_t i = 0; i < dev->count; i++)
        ready += dev->nodes[i].ready;
    snprintf(what, sizeof what, "of %zu node%s ready", dev->count, dev->count == 1 ? "" : "s");
    progress_line(bar, ready, dev->count, what);
    snprintf(out, DEV_LINE_SIZE, "starting %s    data in %.150s", bar, dev->dir);
}

void screen_draw(struct screen *screen, const struct dev *dev)
{
    char line[DEV_LINE_SIZE];
    int row = 0;
    erase();
    if (dev->was_ready)
        snprintf(line, sizeof line, "ready: redis-cli -p %ld    data in %.200s", dev->port,
                 dev->dir);
    else
        starting_line(dev, line);
    put(row++, A_BOLD, line);
    row = put_sentence(row, dev);
    row = draw_nodes(row + 1, dev);
    draw_lines(row + 1, dev);
    put(LINES - 1, A_REVERSE,
        screen->asks_which
            ? "kill -9 which node? (its number; any other key: none)"
            : "q quits and keeps the data    k N kills node N (-9); it is restarted");
    refresh();
}

/* ---- keys ---- */

static void answer_which(struct dev *dev, int key)
{
    size_t number = (size_t)(key - '0');
    if (key >= '1' && number <= dev->count)
        children_kill(dev, &dev->nodes[number - 1]);
}

bool screen_obey(struct screen *screen, struct dev *dev)
{
    int key;
    while ((key = getch()) != ERR) {
        if (screen->asks_which) {
            screen->asks_which = false;
            answer_which(dev, key);
        } else if (key == 'q' || key == 'Q') {
            return false;
        } else {
            screen->asks_which = key == 'k' || key == 'K';
        }
    }
    return true;
}
