// Adds one to a counter that all nodes share, as many times as it is told, and prints what it saw last.
package main

import (
	"fmt"
	"odonata"
	"os"
	"strconv"
	"unsafe"
)

func expect(errno int32, what string) {
	if errno == odonata.OK {
		return
	}
	fmt.Fprintln(os.Stderr, what, errno)
	os.Exit(1)
}

func main() {
	times, _ := strconv.Atoi(os.Args[1])
	ds, errno := odonata.Open("tally", 16384, odonata.OpenCreate)
	expect(errno, "open")
	memory, errno := ds.MapWhole(odonata.ReadWrite)
	expect(errno, "map")
	counter := (*uint32)(unsafe.Pointer(&memory[0]))
	for i := 0; i < times; i++ {
		expect(odonata.Lock(ds.ID, 0, 3, odonata.LockExclusive, -1), "lock")
		*counter++
		expect(odonata.Unlock(ds.ID, 0, 3), "unlock")
	}
	fmt.Println(*counter)
}
