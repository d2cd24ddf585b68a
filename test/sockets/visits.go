// The web server of Go's own library, with a count of its visits that all nodes share; /ask?of=ADDRESS asks the server there.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"odonata"
	"os"
	"syscall"
	"unsafe"
)

func expect(errno int32, what string) {
	if errno == odonata.OK {
		return
	}
	fmt.Fprintln(os.Stderr, what, errno)
	os.Exit(1)
}

func dial(_ context.Context, _, address string) (net.Conn, error) {
	fd, errno := odonata.ConnectTo(address)
	if errno != odonata.OK {
		return nil, syscall.Errno(errno)
	}
	syscall.SetNonblock(fd, true)
	return net.FileConn(os.NewFile(uintptr(fd), address))
}

func main() {
	ds, errno := odonata.Open("visits", 16384, odonata.OpenCreate)
	expect(errno, "open")
	memory, errno := ds.MapWhole(odonata.ReadWrite)
	expect(errno, "map")
	visits := (*uint32)(unsafe.Pointer(&memory[0]))
	http.HandleFunc("/visit", func(w http.ResponseWriter, _ *http.Request) {
		expect(odonata.Lock(ds.ID, 0, 3, odonata.LockExclusive, -1), "lock")
		*visits++
		seen := *visits
		expect(odonata.Unlock(ds.ID, 0, 3), "unlock")
		fmt.Fprintln(w, seen)
	})
	client := http.Client{Transport: &http.Transport{DialContext: dial}}
	http.HandleFunc("/ask", func(w http.ResponseWriter, r *http.Request) {
		answer, err := client.Get("http://" + r.URL.Query().Get("of") + "/visit")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		io.Copy(w, answer.Body)
	})
	syscall.SetNonblock(3, true)
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
}
