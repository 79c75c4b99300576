// Serve Redis's protocol on the address that is the first argument, for Argo CD's cache. Nothing is stored on disk.
package main

import (
	"log"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(os.Args[1]); err != nil {
		log.Fatal(err)
	}
	// Keys expire only when this server is told that time has passed.
	for range time.Tick(time.Second) {
		server.FastForward(time.Second)
	}
}
