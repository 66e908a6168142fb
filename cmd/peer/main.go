package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/chorus-net/chorus/overlay"
)

func main() {
	overlay.Init()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], newConsole())
	stop()
	os.Exit(code)
}
