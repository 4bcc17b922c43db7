// Command server is an IMAP server whose mail is in memory, with the packages of imapgate in front
// of it and flags for most of their settings. It is there to try a mail client or a setting
// against, and to be read. Run it with -h for the flags.
//
// Its backend is imapmemserver, which spells flags in lower case. That is as good as any (RFC 9051
// section 2.3.2), but mbsync does not know them then, and takes them away on its own side.
//
// A SEARCH for SMALLER n before LARGER or a date, such as SMALLER 1000 SINCE 1-Oct-2025, finds
// messages of any size, and so does SMALLER 0. go-imap forgets the size while it reads the command,
// so no backend can do better. The other order, SINCE 1-Oct-2025 SMALLER 1000, is right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit status after ctx is done, or when something is
// wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stdout)
		return exitOK
	}
	if err == nil {
		err = start(ctx, s, stdout, logger)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "server: %v\n", err)
	if !errors.As(err, new(*usageError)) {
		return exitFailed
	}
	fmt.Fprintln(stderr, "Run it with -h for the flags.")
	return exitUsage
}

// start serves until ctx is done.
func start(ctx context.Context, s *settings, stdout io.Writer, logger *slog.Logger) error {
	backend, err := newBackend(s, logger)
	if err != nil {
		return err
	}
	services, server, err := listen(s, backend, logger)
	if err != nil {
		return err
	}
	failed := services.serve()
	printBanner(stdout, s, services)
	select {
	case err = <-failed:
	case <-ctx.Done():
		logger.Info("stopping")
	}
	stop(server, services)
	return err
}
