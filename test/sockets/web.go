// The web server of Go's own library, on the listener that it was started with: files of /site, and a greeting.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
)

func main() {
	// A listener waits, unless it is told otherwise; Go has one thread here, which must not.
	syscall.SetNonblock(3, true)
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", r.URL.Query().Get("name"))
	})
	http.Handle("/", http.FileServer(http.Dir("/site")))
	fmt.Println("listening")
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
}
