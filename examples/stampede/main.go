// Command stampede plays a bad client against an IMAP server, with and without imapgate's limits,
// and measures how long an ordinary user waits meanwhile.
//
//	go run ./examples/stampede
//
// It starts the server itself, on a loopback socket, and takes a minute and a half. Progress goes
// to standard error, and a table to standard output. A chart goes to the file of -chart, or without
// it to a file in the folder for temporary files, whose name is printed at the beginning and at the
// end. There are four scenes. Each is played twice, against the same kind of backend:
//
//   - 200 logins of one user at once, again and again: a client that opens a connection for
//     everything.
//   - 50 connections of three users that FETCH without a pause: a first synchronisation, or a
//     broken one.
//   - 20 connections of one user that repeat a slow SEARCH every second, and hang up when there is
//     no answer.
//   - 250 connections on which a stranger guesses passwords, of another user each time.
//
// The backend is imapmemserver in front of a store of 16 workers. The workers serve first come,
// first served. A worker is busy for 5 ms with each message that a FETCH or SEARCH reads. A
// password check costs 10 ms of CPU time. The backend does not know the limits, and cannot stop
// what it has begun. The limits are those of limits.DefaultOptions, except MaxFetches, which is the
// number of workers.
//
// Each scene lasts ten seconds, or as long as -seconds says. Without limits the third scene grows
// worse for as long as it lasts, so it waits ten more seconds for the answers, and no longer. Only
// on Linux can the server see that a client has hung up while its command waits. Elsewhere, with
// limits, some logins of the third scene are refused.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const maxSeconds = 60 // without limits, longer SEARCHes would use up the sockets

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills the program
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("stampede", flag.ContinueOnError)
	flags.SetOutput(stderr)
	seconds := flags.Float64(
		"seconds", 10, "how long each scene lasts on each side; 1 for a quick look",
	)
	chart := flags.String(
		"chart", filepath.Join(os.TempDir(), "stampede.svg"), "`file` for the chart; empty: none",
	)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if !(*seconds > 0 && *seconds <= maxSeconds) || flags.NArg() > 0 {
		fmt.Fprintf(
			stderr, "stampede: it takes -seconds above 0, up to %d, and no arguments\n", maxSeconds,
		)
		return exitUsage
	}
	length := time.Duration(*seconds * float64(time.Second))
	err := play(ctx, thisMachine, length, *chart, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "stampede: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// play plays each scene on both sides, and shows the results.
func play(
	ctx context.Context, m machine, length time.Duration, chart string, stdout, stderr io.Writer,
) error {
	fmt.Fprintf(stderr, "%d scenes of %v, each with a dot a second\n", 2*len(scenes), length)
	if chart != "" {
		var err error
		if chart, err = filepath.Abs(chart); err == nil {
			_, err = os.Stat(filepath.Dir(chart))
		}
		if err != nil {
			return fmt.Errorf("write the chart: %w", err) // now, not after all scenes
		}
		fmt.Fprintf(stderr, "the chart goes to %s\n", chart)
	}
	acts := make([]act, len(scenes))
	for i, scene := range scenes {
		acts[i].scene = scene
		for _, side := range []side{unlimited, limited} {
			label := fmt.Sprintf("%d/%d %s, %s", 2*i+int(side)+1, 2*len(scenes), scene.title, side)
			done := progress(stderr, label)
			result, err := scene.on(ctx, m, side, length)
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			if err != nil {
				done("failed")
				return err
			}
			done(
				fmt.Sprintf(
					"waits: half up to %v, longest %v", result.waits.quantile(0.5), result.waits.quantile(1),
				),
			)
			acts[i].results[side] = result
		}
	}
	if err := printTable(stdout, acts); err != nil || chart == "" {
		return err
	}
	if err := os.WriteFile(chart, drawChart(acts, length), 0o666); err != nil {
		return fmt.Errorf("write the chart: %w", err)
	}
	_, err := fmt.Fprintf(stdout, "\nchart: %s\n", chart)
	return err
}

// progress prints the label and a dot each second, until the returned function prints the outcome.
func progress(w io.Writer, label string) (done func(outcome string)) {
	fmt.Fprint(w, label, " ")
	ticker := time.NewTicker(time.Second)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-ticker.C:
				fmt.Fprint(w, ".")
			case <-stop:
				return
			}
		}
	}()
	return func(outcome string) {
		ticker.Stop()
		close(stop)
		<-stopped
		fmt.Fprintln(w, " "+outcome)
	}
}
