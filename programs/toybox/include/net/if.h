/* net/if.h: there are no interfaces. */
