package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay"
)

func main() {
	overlay.Init()
	p2p.LogTo(slog.DiscardHandler) // what matters of libp2p's troubles comes as errors
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], newConsole())
	stop()
	os.Exit(code)
}
