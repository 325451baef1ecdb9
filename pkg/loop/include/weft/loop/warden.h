/*
 * warden - the process between a node and a command that it supervises, so that nothing of the command
 * outlives the node.
 *
 *   weftd ──leash──▶ weftd supervise NAME GRACE_MS FILES -- PROGRAM ARG...   ──▶ PROGRAM (a process group)
 *
 * The node could end in any way, kill -9 too, and the command may have children of its own, which
 * PR_SET_PDEATHSIG does not reach. The warden holds one end of a socket, the leash, and the node the other: when
 * the node is gone the leash ends, at whatever moment that was, and the warden ends everything that
 * came from the command: its process group, and what has left the group, since orphans below a
 * warden become the warden's children. If somebody kills the warden, the kernel kills the command.
 *
 * Descriptors: 0 /dev/null, 1 and 2 where the command's output goes, 3 the leash (SOCK_SEQPACKET).
 * Everything else is closed before the command is started. It is the node's own program, executed
 * anew, so that it holds none of the node's memory. FILES is the command's soft limit of open files, 0: as it is.
 */
#ifndef WEFT_LOOP_WARDEN_H
#define WEFT_LOOP_WARDEN_H

#include <stdint.h>

#define WEFT_WARDEN_WORD  "supervise" /* first argument of the program that calls weft_warden_main */
#define WEFT_WARDEN_LEASH 3

/* node -> warden, a packet of one byte each */
enum weft_warden_order {
    WEFT_WARDEN_TERM = 'T', /* SIGTERM to the process group */
    WEFT_WARDEN_KILL = 'K'  /* SIGKILL to everything */
};

/* warden -> node */
enum weft_warden_news_kind {
    WEFT_WARDEN_STARTED, /* value: the command's pid, which is its process group too */
    WEFT_WARDEN_FAILED,  /* value: errno of what it could not be started for; the last news */
    WEFT_WARDEN_EXITED   /* value: as of waitpid(); the last news, nothing of it is left */
};

struct weft_warden_news {
    int32_t kind;
    int32_t value;
};

/* argv[0] is WEFT_WARDEN_WORD. Returns the exit code of the process. */
int weft_warden_main(int argc, char **argv);

#endif
