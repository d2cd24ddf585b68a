/* sys/swap.h: swap is the pmap manager's. */
