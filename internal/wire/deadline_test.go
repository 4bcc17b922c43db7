//go:build unix

package wire

import (
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhichDeadlinesAreAppliedAtOnce(t *testing.T) {
	base := time.Now().Add(time.Hour)
	at := func(minutes int) time.Time { return base.Add(time.Duration(minutes) * time.Minute) }
	var none time.Time
	var d deadline
	var applied []time.Time
	apply := func() {
		d.apply(func(t time.Time) error {
			applied = append(applied, t)
			return nil
		})
	}
	for i, step := range []struct {
		t   time.Time
		now bool
	}{
		{none, false}, {at(30), true}, {at(31), false}, {none, false}, {at(35), false}, {at(29), true},
		{at(29), false}, {time.Unix(1, 0), true}, {at(40), true}, {at(41), false},
	} {
		now := d.change(step.t)
		assert.Equal(t, step.now, now, i)
		if now {
			apply()
		}
	}
	apply()
	apply()
	assert.Equal(t, []time.Time{at(30), at(29), time.Unix(1, 0), at(40), at(41)}, applied)

	applied = nil
	for _, want := range []time.Time{none, time.Unix(1, 0), none} { // also one that is over
		d.change(want)
		apply()
	}
	assert.Equal(t, []time.Time{none, time.Unix(1, 0), none}, applied)
}

// The server works on a command for longer than the deadline of reading it. Or, in the middle of a
// response, for longer than that of writing it.
func TestADeadlineThatPassesSoonIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadline
		applied := 0
		look := func() {
			d.apply(func(time.Time) error {
				applied++
				return nil
			})
		}
		command := time.Now().Add(30 * time.Second)
		require.True(t, d.change(command))
		look()
		time.Sleep(19 * time.Second)
		look()
		assert.Equal(t, 1, applied)
		assert.False(t, d.change(command.Add(time.Hour)), "look is in time")
		d.change(command)
		time.Sleep(2 * time.Second)
		look()
		assert.Equal(t, 1, applied)
		for range 2 {
			assert.True(t, d.change(command.Add(time.Hour)))
			assert.True(t, d.change(time.Time{}))
			d.change(command)
			time.Sleep(10 * time.Second)
			look()
		}
		d.change(command.Add(time.Hour))
		look()
		assert.False(t, d.change(command.Add(2*time.Hour)))
		require.True(t, d.change(time.Now().Add(time.Millisecond)))
		look()
		assert.True(t, d.change(command.Add(time.Hour)), "no look comes before it passes")
	})
}

func TestADeadlineThatHasPassed(t *testing.T) {
	c, _, client := pair(t)
	p := make([]byte, 100)
	for range 3 {
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := c.Read(p)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Now().Add(time.Hour))
		_, err = io.WriteString(client, "b NOOP\r\n")
		require.NoError(t, err)
		n, err := c.Read(p)
		require.NoError(t, err)
		assert.Equal(t, "b NOOP\r\n", string(p[:n]))
		write(t, c, "b OK NOOP completed\r\n")
		c.SetReadDeadline(time.Time{})
		c.look()
	}
}

func TestAnEarlierDeadlineInterrupts(t *testing.T) {
	c, _, client := pair(t)
	c.SetDeadline(time.Now().Add(time.Hour))

	time.AfterFunc(time.Millisecond, func() { c.SetReadDeadline(time.Now().Add(time.Millisecond)) })
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	time.AfterFunc(time.Millisecond, func() { c.SetWriteDeadline(time.Unix(1, 0)) })
	for err = nil; err == nil; {
		_, err = c.Write(make([]byte, 64<<10)) // nobody reads
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	go io.Copy(io.Discard, client)
	c.SetWriteDeadline(time.Now().Add(time.Hour)) // is not left to look, which would be too late
	_, err = c.Write([]byte("\r\na OK NOOP completed\r\n"))
	require.NoError(t, err)
}

func TestLookAppliesLaterDeadlines(t *testing.T) {
	c, _, client := pair(t)
	c.SetDeadline(time.Unix(1, 0))
	c.SetDeadline(time.Time{})
	c.look()
	write(t, c, "a OK NOOP completed\r\n")
	_, err := io.WriteString(client, "b NOOP\r\n")
	require.NoError(t, err)
	p := make([]byte, 100)
	n, err := c.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "b NOOP\r\n", string(p[:n]))
}
