/* The demo's own network: a namespace that ends with the demo, and the kernel's end of the relay's tap in it. */
#ifndef TOOLS_DEMO_NETWORK_H
#define TOOLS_DEMO_NETWORK_H

/* Moves the calling thread, and the children that it starts later, into a new network namespace, with loopback only. 0 or a negative errno. */
int network_enter(void);

/*
 * Gives an interface this IPv4 address of a network of 24 bits, and sets it up. `queue`: how many packets may wait for whoever reads from it;
 * 0: as many as now. 0 or a negative errno.
 */
int network_set_up(const char *interface, const char *address, int queue);

#endif
