// Package mailserver is what the example servers have in common: all of examples/server, which
// examples/cluster adds to.
package mailserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/imapgate/imapgate/limits"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// An Extension is what a program adds to the server. Functions that are nil add nothing.
type Extension struct {
	Name  string // of the program, for its messages
	Flags func(flags *flag.FlagSet)
	// Open changes the options of the limiter before that is made. It is called when the flags are
	// parsed. What it returns is called when the server has stopped.
	Open func(options *limits.Options, logger *slog.Logger) (close func(), err error)
	// Handle adds pages to those of -status.
	Handle func(mux *http.ServeMux, limiter *limits.Limiter)
}

// Main runs the program until it is told to stop.
func Main(extension Extension) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(Run(ctx, os.Args[1:], os.Stdout, os.Stderr, extension))
}

// Run is the whole program. It returns the exit status after ctx is done, or when something is
// wrong.
func Run(
	ctx context.Context, args []string, stdout, stderr io.Writer, extension Extension,
) int {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	s, err := parse(args, extension)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stdout, extension)
		return exitOK
	}
	if err == nil {
		err = start(ctx, s, stdout, logger)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "%s: %v\n", extension.Name, err)
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
	options := s.limiterOptions(logger)
	if s.extension.Open != nil {
		closeExtension, err := s.extension.Open(options, logger)
		if err != nil {
			return err
		}
		defer closeExtension()
	}
	closeHistory, err := s.virtualFolders.open(logger)
	if err != nil {
		return err
	}
	defer func() {
		if err := closeHistory(); err != nil {
			logger.Warn("vfolders", "message", err.Error())
		}
	}()
	services, server, err := listen(s, backend, options, logger)
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
