package progress_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/internal/memconn"
	"github.com/imapgate/imapgate/internal/progress"
)

const line = "* OK [INPROGRESS] The command is running\r\n"

// client reads the lines that arrive, and notes their times.
func client(conn net.Conn) (told chan time.Duration) {
	start := time.Now()
	told = make(chan time.Duration, 100)
	go func() {
		defer close(told)
		reader := bufio.NewReader(conn)
		for {
			if got, err := reader.ReadString('\n'); err != nil || got != line {
				return
			}
			told <- time.Since(start)
		}
	}()
	return told
}

// pipe returns the two ends of a connection.
func pipe(t *testing.T) (client, server net.Conn) {
	client, server = memconn.Pipe(nil, nil)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

const text = "The command is running"

func TestItTellsAtEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		told := client(theirs)
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		n.Start(progress.Command{Interval: 10 * time.Second, Text: text})
		time.Sleep(35 * time.Second)
		n.Stop()
		time.Sleep(time.Minute)
		for i := range 3 {
			assert.Equal(t, time.Duration(i+1)*10*time.Second, <-told)
		}
		assert.Empty(t, told)
	})
}

// A Notice counts from the Start of each command, whatever the timer was set for.
func TestEachCommandHasItsOwnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		begin, told := time.Now(), client(theirs)
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		for _, command := range []struct {
			interval, lasts time.Duration
			want            []time.Duration
		}{
			{10 * time.Second, 4 * time.Second, nil},
			{10 * time.Second, 9 * time.Second, nil},
			{10 * time.Second, 11 * time.Second, []time.Duration{10 * time.Second}},
			{20 * time.Second, 19 * time.Second, nil},
			{3 * time.Second, 7 * time.Second, []time.Duration{3 * time.Second, 6 * time.Second}},
			{0, time.Hour, nil},
			{-1, time.Hour, nil},
			{20 * time.Second, 21 * time.Second, []time.Duration{20 * time.Second}},
		} {
			n.Start(progress.Command{Interval: command.interval, Text: text})
			start := time.Since(begin)
			time.Sleep(command.lasts)
			n.Stop()
			synctest.Wait()
			var got []time.Duration
			for len(told) > 0 {
				got = append(got, <-told-start)
			}
			assert.Equal(t, command.want, got)
		}
	})
}

func TestSayChangesTheTextOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		n.Say("nothing is told yet")
		n.Start(progress.Command{Interval: 10 * time.Second, Text: "Something else"})
		time.Sleep(9 * time.Second)
		n.Say(text)
		start := time.Now()
		got, err := bufio.NewReader(theirs).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, line, got)
		assert.Equal(t, time.Second, time.Since(start))
		n.Stop()
	})
}

// After Until, when the answer should come in any case, nothing is told, unless Say drops Until.
func TestUntilAndSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		told := client(theirs)
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		start := time.Now()
		n.Start(progress.Command{
			Interval: 10 * time.Second, Text: text, Until: start.Add(20 * time.Second),
		})
		time.Sleep(33 * time.Second)
		synctest.Wait()
		require.Len(t, told, 1)
		assert.Equal(t, 10*time.Second, <-told)
		n.Say(text)
		synctest.Wait()
		assert.Equal(t, 33*time.Second, <-told, "it has been due since 20 s")
		assert.Equal(t, 43*time.Second, <-told)
		n.Stop()
	})
}

// A client that does not read has two seconds. Then the connection is closed, as part of the line
// may be sent. Stop waits for that.
func TestAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ours := pipe(t)
		ours.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := ours.Write(make([]byte, 1<<20)) // until the buffers are full
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		ours.SetWriteDeadline(time.Time{})
		lost := 0
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		n.Start(progress.Command{
			Interval: 10 * time.Second, Text: text, Lost: func() { lost++ },
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		start := time.Now()
		n.Stop()
		assert.Equal(t, 2*time.Second, time.Since(start))
		_, err = ours.Write([]byte("x"))
		assert.ErrorIs(t, err, net.ErrClosed)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, lost)
	})
}

func TestAClientThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		lost := 0
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		n.Start(progress.Command{
			Interval: 10 * time.Second, Text: text, Lost: func() { lost++ },
		})
		theirs.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, lost)
		n.Stop()

		// There is no Lost function.
		n.Start(progress.Command{Interval: 10 * time.Second, Text: text})
		time.Sleep(time.Minute)
		n.Stop()
	})
}

// slow writes in two parts with a pause in between, like a connection whose buffer is nearly full.
type slow struct{ net.Conn }

func (s slow) Write(p []byte) (int, error) {
	half := len(p) / 2
	s.Conn.Write(p[:half])
	time.Sleep(time.Second)
	n, err := s.Conn.Write(p[half:])
	return half + n, err
}

func TestStopWaitsForALineThatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		n := progress.Notice{Conn: func() net.Conn { return slow{ours} }}
		n.Start(progress.Command{Interval: 10 * time.Second, Text: text})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		n.Stop()
		ours.Write([]byte("a OK done\r\n"))
		ours.Close()
		var got strings.Builder
		_, err := bufio.NewReader(theirs).WriteTo(&got)
		require.NoError(t, err)
		assert.Equal(t, line+"a OK done\r\n", got.String())
	})
}

func TestEndStopsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := pipe(t)
		told := client(theirs)
		n := progress.Notice{Conn: func() net.Conn { return ours }}
		n.End()
		n.Start(progress.Command{Interval: 10 * time.Second, Text: text})
		n.End()
		time.Sleep(time.Minute)
		assert.Empty(t, told)
		// The Notice can be used again.
		n.Start(progress.Command{Interval: 10 * time.Second, Text: text})
		time.Sleep(15 * time.Second)
		assert.Equal(t, 70*time.Second, <-told)
		n.End()
		n.Stop()
	})
}

func TestTell(t *testing.T) {
	theirs, ours := pipe(t)
	assert.True(t, progress.Tell(ours, text))
	got, err := bufio.NewReader(theirs).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, line, got)
	theirs.Close()
	assert.False(t, progress.Tell(ours, text))
	_, err = ours.Write([]byte("x"))
	assert.ErrorIs(t, err, net.ErrClosed)
}

// TLS would wait 5 s more, to tell the end to a client that does not read.
func TestAClientThatDoesNotReadOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, below := pipe(t)
		ours := tls.Server(below, imaptest.ServerTLS())
		go tls.Client(theirs, imaptest.ClientTLS()).Handshake()
		require.NoError(t, ours.Handshake())
		below.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := below.Write(make([]byte, 1<<20)) // until the buffers are full
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		start := time.Now()
		assert.False(t, progress.Tell(ours, text))
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.ErrorIs(t, below.SetDeadline(time.Time{}), net.ErrClosed)
	})
}

// A time that is later than any program runs is not over already. If it is, this test hangs. It
// runs in no bubble, as the clock in there is years before the program.
func TestATimeThatNeverComesIsNotOver(t *testing.T) {
	theirs, ours := pipe(t)
	told := client(theirs)
	n := progress.Notice{Conn: func() net.Conn { return ours }}
	n.Start(progress.Command{
		Interval: time.Millisecond, Text: text, Until: time.Now().AddDate(9000, 0, 0),
	})
	<-told
	n.End()
}
