import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.util.concurrent.Callable;

/** The same answers as ../answers.py. */
class Answers {
    /** A key, and when it expires; null where the client does not tell it. */
    record Found(String key, Instant expiry) {}

    static void answer(Callable<Found> read) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        while (lines.readLine() != null) {
            try {
                var found = read.call();
                System.out.println(found.key + " " + (found.expiry == null ? "-" : found.expiry.getEpochSecond()));
            } catch (Exception error) {
                System.out.println("none " + String.valueOf(error.getMessage()).replaceAll("\\s+", " "));
            }
        }
    }
}
