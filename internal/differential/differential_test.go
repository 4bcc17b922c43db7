package differential_test

import (
	"fmt"
	"log"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/stack"
)

// FuzzConversation holds the same conversation twice: with a stack around an imapmemserver, and
// with a reference server without a stack. Both must say the same, byte for byte. Where the stack
// promises to change something, the reference changes it by code of its own.
//
// The order of goroutines varies, so the fuzzer often takes an input for new and minimizes it for a
// minute. To avoid that:
//
//	go test -run '^$' -fuzz FuzzConversation -fuzztime 10m -fuzzminimizetime 5x \
//		./internal/differential
func FuzzConversation(f *testing.F) {
	names := stack.Names()
	for name := range promises {
		require.Contains(f, names, name)
	}
	for i := range names {
		for _, scene := range scenes {
			f.Add(byte(i), []byte(scene))
		}
	}
	// Not in parallel: the MOVEs of a process take turns, and must not wait for another bubble.
	f.Fuzz(func(t *testing.T, choice byte, script []byte) {
		if len(script) > 1<<11 {
			return
		}
		name := names[int(choice)%len(names)]
		p := promises[name]
		ops := conversation(script, p.copies != untouched, p.hideIdle)
		for i := range ops { // before login a guard says less about a wrong command than go-imap
			ops[i].early = ops[i].early && !p.guarded
		}
		want, wrong := held(t, ops, p, true, func(w *world) imaptest.NewSessionFunc {
			return w.reference(p)
		})
		require.Empty(t, wrong, "%s", strings.Join(want, "\n"))
		got, wrong := heldBy(t, name, ops, p, false, func(w *world) imaptest.NewSessionFunc {
			return w.memory
		})
		said := strings.Join(got, "\n")
		if p.guarded { // behind a guard, a virtual folder is READ-ONLY
			said = strings.ReplaceAll(
				said, "OK [READ-ONLY] SELECT completed", "OK [READ-WRITE] SELECT completed",
			)
		}
		require.Equal(t, strings.Join(want, "\n"), said, "%s", name)
		require.Empty(t, wrong, "%s", name)
	})
}

// held holds the conversation with go-imap's server around a new world. That server may be the
// reference. It returns the record, and the mistakes in what the server has said.
func held(
	t *testing.T, ops []op, p promise, reference bool, sessions func(*world) imaptest.NewSessionFunc,
) (record, wrong []string) {
	return heldBy(t, "bare", ops, p, reference, sessions)
}

// heldBy is held with the server or stack of that name.
func heldBy(
	t *testing.T, name string, ops []op, p promise, reference bool,
	sessions func(*world) imaptest.NewSessionFunc,
) (record, wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		server := stack.NewServer(name, &imapserver.Options{
			NewSession:   sessions(newWorld()),
			InsecureAuth: true,
			Caps:         imaptest.MemoryCaps(),
			Logger:       log.New(&logged, "", 0),
		})
		talk := &talk{hideIdle: p.hideIdle, reference: reference}
		end := serve(server, talk)
		record = talk.hold(ops)
		end()
		synctest.Wait()
		record = append(record, fmt.Sprintf("%d panics", strings.Count(logged.String(), "panic ")))
		wrong = talk.wrong
	})
	return record, wrong
}

// serve connects the talk with a server. The returned function ends the server.
func serve(server stack.Server, talk *talk) (end func()) {
	listener := imaptest.Listen()
	talk.dial = listener.Dial
	go server.Serve(listener)
	return func() {
		listener.Close()
		synctest.Wait()
		server.Close()
	}
}
