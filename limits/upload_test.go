package limits_test

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// taker is a backend session that reads the message of an APPEND in pieces of 4 KiB, with a pause
// after each.
type taker struct {
	backendSession
	pause time.Duration
}

func (s *taker) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	var err error
	for err == nil {
		_, err = io.CopyN(io.Discard, r, 4<<10)
		time.Sleep(s.pause)
	}
	if err != io.EOF {
		return nil, err
	}
	return nil, nil
}

// serveUploads starts a server with one slot for APPENDs, and a stall watch.
func serveUploads(t *testing.T, pause time.Duration, options limits.Options) (*server, *recorder) {
	told := &recorder{}
	options.MaxCommands, options.CommandQueueTimeout, options.OnEvent = 1, time.Hour, told.add
	b := &backend{status: func(string) error { time.Sleep(35 * time.Second); return nil }}
	return serveSessions(t, b, func(*imapserver.Conn) (
		imapserver.Session, *imapserver.GreetingData, error,
	) {
		return &taker{backendSession{backend: b}, pause}, nil, nil
	}, &options), told
}

// send sends the message in pieces, with a pause before each, until a write fails. It does not send
// at the moment of a check, at which it is chance whether the backend is waiting for the client.
func send(w io.Writer, size, piece int, pause time.Duration) {
	time.Sleep(100 * time.Millisecond)
	for size > 0 {
		time.Sleep(pause)
		piece = min(piece, size)
		if _, err := io.WriteString(w, strings.Repeat("m", piece)); err != nil {
			return
		}
		size -= piece
	}
	io.WriteString(w, "\r\n")
}

const stallTimeout = 30 * time.Second

func TestAClientThatUploadsTooSlowlyGivesItsSlotBack(t *testing.T) {
	for name, upload := range map[string]func(c *imaptest.Conn){
		"nothing":          func(*imaptest.Conn) {},
		"a byte a second":  func(c *imaptest.Conn) { send(c, 1<<20, 1, time.Second) },
		"3 KiB a second":   func(c *imaptest.Conn) { send(c, 1<<20, 3<<10, time.Second) },
		"all but one byte": func(c *imaptest.Conn) { send(c, 1<<20, 1<<20, 0) },
		"much, then little": func(c *imaptest.Conn) {
			send(c, 1<<19, 1<<19, 0)
			send(c, 1<<19, 1, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, told := serveUploads(t, 0, limits.Options{StallTimeout: stallTimeout})
				slow, other := s.selected("karen"), s.selected("bob")
				slow.Send("x APPEND a {1048579}")
				assert.Equal(t, "+ Ready for literal data", slow.Line())
				go upload(slow)
				start := time.Now()
				assert.Equal(t, "* BYE [LIMIT] The message came too slowly", slow.Line())
				// The bytes that came at once are enough until the first check.
				took := time.Since(start)
				assert.GreaterOrEqual(t, took, stallTimeout)
				assert.LessOrEqual(t, took, stallTimeout*5/4)
				_, err := slow.Read(make([]byte, 1))
				assert.ErrorIs(t, err, io.EOF)

				assert.Zero(t, elapsed(func() {
					assert.True(t, imaptest.IsOK(other.Cmd("y SELECT INBOX")), "the slot is free")
				}))
				assert.Equal(t, []limits.Event{{
					Kind: limits.EventStalled, Command: "APPEND", User: "karen",
					Addr: netip.MustParseAddr("192.0.2.1"), Waited: stallTimeout,
					Limit: "StallTimeout", Max: "30s",
				}}, told.all())
				assert.EqualValues(t, 1, s.limiter.Stats().Refused.Stalled)
			})
		})
	}
}

func TestAClientThatUploadsSlowlyKeepsItsSlot(t *testing.T) {
	for name, upload := range map[string]func(c *imaptest.Conn){
		"5 KiB a second": func(c *imaptest.Conn) { send(c, 1<<20, 5<<10, time.Second) },
		"in bursts":      func(c *imaptest.Conn) { send(c, 1<<20, 1<<18, 29*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, told := serveUploads(t, 0, limits.Options{StallTimeout: stallTimeout})
				c := s.selected("karen")
				for range 2 { // a pause between two messages is no stall
					c.Send("x APPEND a {1048576}")
					c.Line()
					go upload(c)
					assert.True(t, imaptest.IsOK(c.Answer("x")))
					time.Sleep(time.Minute)
				}
				assert.Empty(t, told.all())
			})
		})
	}
}

func TestABackendThatIsSlowToTakeAMessageIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := serveUploads(t, 35*time.Second, limits.Options{StallTimeout: stallTimeout})
		c := s.selected("karen")
		c.Send("x APPEND a {20480}")
		c.Line()
		send(c, 20<<10, 20<<10, 0)
		assert.Equal(t, 6*35*time.Second, elapsed(func() {
			assert.True(t, imaptest.IsOK(c.Answer("x")))
		}))
		assert.Empty(t, told.all())
	})
}

// The time in the queue does not count as the client's.
func TestAnUploadThatHasWaitedIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := serveUploads(t, 0, limits.Options{StallTimeout: stallTimeout})
		first, second := s.selected("karen"), s.selected("bob")
		first.Send("x STATUS INBOX (UIDNEXT)")
		synctest.Wait()
		second.Send("y APPEND a {102400}")
		second.Line()
		go func() {
			time.Sleep(35 * time.Second)
			send(second, 100<<10, 5<<10, time.Second)
		}()
		assert.True(t, imaptest.IsOK(second.Answer("y")))
		events := told.all()
		require.Len(t, events, 1)
		assert.Equal(t, limits.EventAdmitted, events[0].Kind)
		assert.True(t, imaptest.IsOK(first.Answer("x")))
	})
}

// Stalls that must not close the connection do not close it.
func TestAnUploadThatIsNotEnded(t *testing.T) {
	for name, options := range map[string]limits.Options{
		"no timeout": {},
		"dry run":    {StallTimeout: stallTimeout, DryRun: true},
		"exempt": {
			StallTimeout: stallTimeout, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, told := serveUploads(t, 0, options)
				c := s.selected("karen")
				c.Send("x APPEND a {100}")
				c.Line()
				go send(c, 100, 1, time.Second)
				assert.True(t, imaptest.IsOK(c.Answer("x")))
				events := told.all()
				if !options.DryRun {
					assert.Empty(t, events)
					return
				}
				require.Len(t, events, 3, "after 30, 60 and 90 s")
				assert.True(t, events[0].DryRun)
				assert.Equal(t, limits.EventStalled, events[0].Kind)
			})
		})
	}
}

func TestAStallTimeoutThatComesLateHoldsForAnUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := serveUploads(t, 0, limits.Options{})
		c := s.selected("karen")
		c.Send("x APPEND a {100}")
		c.Line()
		time.Sleep(time.Minute)
		require.NoError(t, s.limiter.SetOptions(&limits.Options{StallTimeout: stallTimeout}))
		assert.Equal(t, "* BYE [LIMIT] The message came too slowly", c.Line())
	})
}

// archive is a backend session that tells how the message of an APPEND ended.
type archive struct {
	backendSession
	ended chan error
}

func (s *archive) Append(
	_ string, r imap.LiteralReader, _ *imap.AppendOptions,
) (*imap.AppendData, error) {
	_, err := io.Copy(io.Discard, r)
	s.ended <- err
	return nil, err
}

// A client that is gone in the middle of a message has not sent a shorter one.
func TestTheEndOfAConnectionIsNotTheEndOfAMessage(t *testing.T) {
	for sent, want := range map[string]error{
		"":            io.ErrUnexpectedEOF,
		"123":         io.ErrUnexpectedEOF,
		"12345678":    io.ErrUnexpectedEOF,
		"123456789":   nil,
		"123456789\r": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			b, ended := &backend{}, make(chan error, 1)
			s := serveSessions(t, b, func(*imapserver.Conn) (
				imapserver.Session, *imapserver.GreetingData, error,
			) {
				return &archive{backendSession{backend: b}, ended}, nil, nil
			}, &limits.Options{})
			c, _ := s.login("192.0.2.1", "karen")
			_, err := io.WriteString(c, "a APPEND INBOX {9+}\r\n"+sent)
			require.NoError(t, err)
			c.Close()
			assert.Equal(t, want, <-ended, "%q", sent)
		})
	}
}
