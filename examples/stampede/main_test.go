package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// cells returns the two values of the first row with this name in the table.
func cells(t *testing.T, table, name string) (without, with string) {
	row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` *\| *(.*?) \| *(.*?) \|$`).
		FindStringSubmatch(table)
	require.NotNil(t, row, "no row %q in\n%s", name, table)
	return row[1], row[2]
}

func number(t *testing.T, cell string) int {
	n, err := strconv.Atoi(cell)
	require.NoError(t, err)
	return n
}

// inMemory returns a machine for a synctest bubble, with connections in memory and two processors.
func inMemory() machine {
	processors := make(chan struct{}, 2)
	return machine{
		listen: func() (net.Listener, error) { return imaptest.Listen(), nil },
		dial: func(_ context.Context, to net.Listener, stranger bool) (net.Conn, error) {
			from := "192.0.2.1"
			if stranger {
				from = "192.0.2.2"
			}
			return to.(*imaptest.Listener).DialFrom(from)
		},
		hash: func(username, password string) []byte {
			processors <- struct{}{}
			time.Sleep(checkCost)
			<-processors
			return []byte(username + password)
		},
	}
}

func TestShortRun(t *testing.T) { synctest.Test(t, testShortRun) }

func testShortRun(t *testing.T) {
	chart := filepath.Join(t.TempDir(), "chart.svg")
	var stdout, stderr bytes.Buffer
	require.NoError(
		t, play(t.Context(), inMemory(), 300*time.Millisecond, chart, &stdout, &stderr), "%s", &stderr,
	)
	table := stdout.String()
	assert.Contains(t, strings.Split(stderr.String(), "\n")[:2], "the chart goes to "+chart)
	assert.True(t, strings.HasSuffix(table, "chart: "+chart+"\n"), table)

	without, with := cells(t, table, "")
	assert.Equal(t, []string{"without limits", "with limits"}, []string{without, with})
	for _, scene := range scenes {
		assert.Contains(t, table, "| **"+scene.title+"** ")
		for _, row := range []string{"answered", "wait, p50", "wait, p99", "longest wait"} {
			without, with := cells(t, table, "ordinary user's "+scene.command+": "+row)
			assert.NotEmpty(t, without)
			assert.NotEmpty(t, with)
		}
		assert.Contains(t, stderr.String(), scene.title+", without limits ")
		assert.Contains(t, stderr.String(), scene.title+", with limits ")
	}

	without, with = cells(t, table, "password checks for them, at most")
	assert.Equal(t, stormLogins, number(t, without))
	assert.LessOrEqual(t, number(t, with), limits.DefaultOptions().MaxLoginsPerUser)
	without, with = cells(t, table, "logged in, the others refused")
	assert.Equal(t, stormLogins, number(t, without))
	assert.Equal(t, limits.DefaultOptions().MaxLoginsPerUser, number(t, with))
	_, with = cells(t, table, "heavy users' FETCHes in the store at once, at most")
	assert.LessOrEqual(t, number(t, with), workers)
	_, with = cells(t, table, "that were in the store at once, at most")
	assert.LessOrEqual(t, number(t, with), 1)
	_, with = cells(t, table, "refused, logins among them")
	assert.Zero(t, number(t, with))

	_, with = cells(t, table, "guesses checked at once, at most")
	assert.LessOrEqual(t, number(t, with), limits.DefaultOptions().MaxLoginChecksPerIP)

	svg, err := os.ReadFile(chart)
	require.NoError(t, err)
	assertSVG(t, svg)
	for _, scene := range scenes {
		assert.Contains(t, string(svg), ">"+scene.caption+"<")
	}
}

// assertSVG asserts that the image is well-formed XML and refers to nothing outside.
func assertSVG(t *testing.T, svg []byte) {
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	root := ""
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok {
			if root == "" {
				root = start.Name.Local
			}
			for _, attribute := range start.Attr {
				assert.NotEqual(t, "href", attribute.Name.Local)
				assert.NotContains(t, attribute.Value, "NaN")
			}
		}
	}
	assert.Equal(t, "svg", root)
	assert.NotContains(t, string(svg), "url(")
}

func TestCommittedChartIsWellFormed(t *testing.T) {
	svg, err := os.ReadFile("stampede.svg")
	require.NoError(t, err)
	assertSVG(t, svg)
}

func TestChartOfAlmostNothing(t *testing.T) {
	assertSVG(t, drawChart([]act{{scene: scenes[0]}}, time.Millisecond))
	assertSVG(
		t,
		drawChart(
			[]act{{scene: scene{title: `<&">`}, results: [2]result{{waits: waits{{0, 0, false}}}}}},
			time.Second,
		),
	)
}

func TestWrongArguments(t *testing.T) {
	for _, args := range []string{
		"-seconds 0", "-seconds -1", "-seconds NaN", "-seconds 61", "-nonsense", "extra",
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitUsage, run(t.Context(), strings.Fields(args), &stdout, &stderr), args)
		assert.Empty(t, stdout.String(), args)
		assert.NotEmpty(t, stderr.String(), args)
	}
	assert.Equal(t, exitOK, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}

// When the context is done, every scene stops, whatever it is doing.
func TestInterrupted(t *testing.T) {
	for i, scene := range scenes {
		ctx, cancel := context.WithCancel(t.Context())
		entered := make(chan struct{})
		play := scene.play
		scene.play = func(ctx context.Context, s *stage) (result, error) {
			close(entered)
			return play(ctx, s)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			scene.on(ctx, thisMachine, side(i%2), time.Hour)
		}()
		<-entered
		cancel()
		<-ended
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, []string{"-chart", ""}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "stampede: interrupted\n")

	stderr.Reset() // without -chart nothing is written into the user's folder
	assert.Equal(t, exitFailed, run(ctx, nil, io.Discard, &stderr))
	assert.Contains(
		t, stderr.String(), "the chart goes to "+filepath.Join(os.TempDir(), "stampede.svg"),
	)
}

func TestChartThatCannotBeWritten(t *testing.T) {
	var stderr bytes.Buffer
	missing := filepath.Join(t.TempDir(), "missing", "chart.svg")
	assert.Equal(t, exitFailed, run(t.Context(), []string{"-chart", missing}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "stampede: write the chart: ")
}

func TestQuantile(t *testing.T) {
	var all waits
	assert.Equal(t, wait{}, all.quantile(0.5))
	for i := range 100 {
		all = append(all, wait{took: time.Duration(100-i) * time.Second, answered: true})
	}
	for q, seconds := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		assert.Equal(t, seconds*time.Second, all.quantile(q).took, "%v", q)
	}
	assert.Equal(t, time.Second, all[99:].quantile(0.5).took)
	all[50].answered = false
	assert.Equal(t, all[50], all.quantile(1))
}

func TestWaitInWords(t *testing.T) {
	for took, want := range map[time.Duration]string{
		0:                       "0.0 ms",
		5130 * time.Microsecond: "5.1 ms",
		9960 * time.Microsecond: "10 ms",
		999 * time.Millisecond:  "999 ms",
		1234 * time.Millisecond: "1.23 s",
		9999 * time.Millisecond: "10.0 s",
	} {
		assert.Equal(t, want, wait{took: took, answered: true}.String())
	}
	assert.Equal(t, "over 1.00 s", wait{took: time.Second}.String())
}

func TestRoundNumbers(t *testing.T) {
	for x, want := range map[float64]float64{0.9: 1, 1: 1, 1.1: 2, 2.5: 5, 6: 10, 10: 10, 0.03: 0.05} {
		assert.InDelta(t, want, niceAbove(x), 1e-9, "%v", x)
	}
	assert.Equal(t, []string{"10 s", "1 s", "100 ms", "1 ms", "100 µs"},
		[]string{decadeName(1), decadeName(0), decadeName(-1), decadeName(-3), decadeName(-4)})
}
