// talk: a service by a name, in Go, with its own net package. A request is a line, and so is its reply.
//
//	talk serve NAME     replies to each line with `Go: ` and the line; a goroutine a connection
//	talk ask NAME TEXT  prints the reply to TEXT
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"syscall"

	"odonata"
)

func file(fd int, errno int32, name string) *os.File {
	if errno != odonata.OK {
		fmt.Fprintln(os.Stderr, name, syscall.Errno(errno))
		os.Exit(3)
	}
	syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	return value
}

func main() {
	name := os.Args[2]
	if os.Args[1] == "serve" {
		fd, errno := odonata.ListenOn(name, 128, 0)
		listener := must(net.FileListener(file(fd, errno, name)))
		fmt.Println("listening")
		for {
			go serve(must(listener.Accept()))
		}
	}
	fd, errno := odonata.ConnectToName(name, 5000)
	connection := must(net.FileConn(file(fd, errno, name)))
	fmt.Fprintln(connection, os.Args[3])
	fmt.Print(must(bufio.NewReader(connection).ReadString('\n')))
}

func serve(connection net.Conn) {
	defer connection.Close()
	for lines := bufio.NewScanner(connection); lines.Scan(); {
		fmt.Fprintln(connection, "Go:", lines.Text())
	}
}
