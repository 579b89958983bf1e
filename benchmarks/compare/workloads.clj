;; The workloads of workloads.py in Clojure, with the same names and sizes.
;;
;; The first line out tells the versions. Then each line in is a workload, a number of
;; threads and a number of seconds, and each line out the answer as JSON. What a
;; workload needs is run once, untimed, before its first answer, for the JIT compiler.

(import '(java.lang.management ManagementFactory ThreadMXBean)
        '(java.util.concurrent CyclicBarrier)
        '(java.util.concurrent.atomic AtomicLong))

(def start 1000)
(def calls 500)
(def transfers 50)
(def few 100)
(def many 10000)
(def group 10)
(def pause-ms 1)

(defn must-be [expected found what]
  (when (not= expected found)
    (throw (IllegalStateException. (str what " is " found " instead of " expected)))))

;; Working for a given time: a worker is an operation and a step, which returns how
;; often it did the operation.

(def ^ThreadMXBean threads-bean (ManagementFactory/getThreadMXBean))

(defn work [^AtomicLong end nanos step]
  (.compareAndSet end 0 (+ (System/nanoTime) (long nanos)))
  (let [over (.get end)]
    (loop [done 0, timely 0, lasts true, start (.getCurrentThreadCpuTime threads-bean)]
      (if lasts
        (let [n (long (step))
              still (< (System/nanoTime) over)]
          (recur (+ done n) (if still (+ timely n) timely) still start))
        {:done done :timely timely :cpu (- (.getCurrentThreadCpuTime threads-bean) start)}))))

(defn spend [seconds workers]
  (let [barrier (CyclicBarrier. (count workers))
        end (AtomicLong. 0)
        running (mapv (fn [[operation step]]
                        (future (.await barrier)
                                (assoc (work end (* seconds 1e9) step)
                                       :operation operation)))
                      workers)]
    (mapv deref running)))

(defn done [results] (reduce + (map :done results)))

;; One object

(defn counter-step [^AtomicLong counter]
  (fn [] (dotimes [_ calls] (.incrementAndGet counter)) calls))

(defn swap-step [value]
  (fn [] (dotimes [_ calls] (swap! value inc)) calls))

(defn counting [make step look shared threads]
  (let [things (vec (repeatedly (if shared 1 threads) make))]
    {:workers (for [n (range threads)]
                ["addition" (step (nth things (if shared 0 n)))])
     :check (fn [results]
              (must-be (done results) (reduce + (map look things)) "the count"))}))

(defn look-at-counter [^AtomicLong counter] (.get counter))

;; Several objects

(defn transfer [a b n]
  (dosync
   (alter a - n)
   (alter b + n)))

(defn total [refs]
  (dosync (reduce (fn [sum one] (+ sum @one)) 0 refs)))

(defn accounts [size] (vec (repeatedly size #(ref start))))

(defn check-all [refs]
  (fn [_] (must-be (* start (count refs)) (total refs) "the bank")))

(defn writer [refs]
  (let [order (fn []
                (let [source (rand-int (count refs))
                      other (rand-int (dec (count refs)))
                      target (if (< other source) other (inc other))]
                  [(refs source) (refs target) (inc (rand-int 9))]))
        parts (vec (repeatedly 20 #(vec (repeatedly transfers order))))
        at (AtomicLong. 0)]
    ["transfer"
     (fn []
       (doseq [[a b n] (nth parts (mod (.getAndIncrement at) 20))]
         (transfer a b n))
       transfers)]))

(defn reader [operation refs pause]
  [operation
   (fn []
     (must-be (* start (count refs)) (total refs) "a sum")
     (when (pos? pause) (Thread/sleep pause))
     1)])

(defn transfer-trial [threads]
  (let [refs (accounts few)]
    {:workers (conj (vec (repeatedly threads #(writer refs)))
                    (reader "audit" refs pause-ms))
     :check (check-all refs)}))

(defn long-reader-trial [threads]
  (let [refs (accounts many)]
    {:workers (into [(reader "sum" refs 0)] (repeatedly threads #(writer refs)))
     :check (check-all refs)}))

(defn hot-trial [threads]
  (let [[hot & own :as refs] (accounts (inc threads))]
    {:workers (for [one own]
                ["transfer"
                 (fn [] (dotimes [_ transfers] (transfer hot one 1)) transfers)])
     :check (fn [results]
              ((check-all refs) results)
              (must-be (- start (done results)) @hot "the hot account"))}))

(defn read-mostly-step [groups]
  (let [plan (fn [] (mapv (fn [write] [(rand-nth groups) write])
                          (shuffle (map #(< % 2) (range 20)))))
        plans (vec (repeatedly 20 plan))
        at (AtomicLong. 0)]
    (fn []
      (doseq [[refs write] (nth plans (mod (.getAndIncrement at) 20))]
        (if write
          (transfer (first refs) (peek refs) 1)
          (must-be (* start group) (total refs) "a sum")))
      20)))

(defn read-mostly-trial [threads]
  (let [refs (accounts few)
        groups (mapv vec (partition group refs))]
    {:workers (repeatedly threads (fn [] ["operation" (read-mostly-step groups)]))
     :check (check-all refs)}))

(def trials
  {"counter-shared" #(counting (fn [] (AtomicLong. 0)) counter-step look-at-counter true %)
   "counter-own" #(counting (fn [] (AtomicLong. 0)) counter-step look-at-counter false %)
   "swap" #(counting (fn [] (atom 0)) swap-step deref true %)
   "transfer" transfer-trial
   "read-mostly" read-mostly-trial
   "hot" hot-trial
   "long-reader" long-reader-trial})

(defn run [workload threads seconds]
  (let [{:keys [workers check]} ((trials workload) threads)
        results (spend seconds workers)]
    (check results)
    (into {} (for [[operation those] (group-by :operation results)
                   :let [timely (reduce + (map :timely those))
                         cpu (/ (reduce + (map :cpu those)) 1e9)]]
               [operation
                (if (pos? timely)
                  {"wall" (/ seconds (double timely)) "cpu" (/ cpu (done those))}
                  {"wall" nil "cpu" nil})]))))

;; Memory: what the heap has grown by, for one object.

(defn used []
  (dotimes [_ 3] (System/gc) (Thread/sleep 20))
  (let [runtime (Runtime/getRuntime)]
    (- (.totalMemory runtime) (.freeMemory runtime))))

(defn bytes-per-object [make number]
  (let [^objects places (object-array number)
        before (used)]
    (dotimes [n number] (aset places n (make (mod n 100))))
    (let [found (/ (- (used) before) (double number))]
      (must-be number (alength places) "the array")
      found)))

(defn bytes-per-version [number depth]
  (let [refs (vec (repeatedly number #(ref 0 :min-history depth :max-history depth)))
        before (used)]
    (dotimes [n (inc depth)] (doseq [one refs] (dosync (ref-set one n))))
    (let [found (/ (- (used) before) (double (* number depth)))]
      (must-be depth (ref-history-count (first refs)) "the history")
      found)))

(defn memory []
  {"memory-object" {"bytes" (bytes-per-object ref 100000)}
   "memory-version" {"bytes" (bytes-per-version 2000 20)}})

;; Questions and answers

(defn json [value]
  (cond (nil? value) "null"
        (string? value) (pr-str value)
        (map? value) (str "{" (apply str (interpose ", " (for [[key one] value]
                                                           (str (pr-str key) ": " (json one)))))
                          "}")
        :else (str (double value))))

(def warm (atom #{}))

(defn answer [line]
  (let [[workload threads seconds] (.split ^String line " ")]
    (if (= workload "memory")
      (memory)
      (let [threads (Long/parseLong threads)
            seconds (Double/parseDouble seconds)]
        (when-not (@warm workload)
          (run workload 2 (* 4 seconds))
          (swap! warm conj workload))
        (run workload threads seconds)))))

(println (json {"clojure" (clojure-version) "java" (System/getProperty "java.version")}))
(doseq [line (line-seq (java.io.BufferedReader. *in*))]
  (println (json (try (answer line)
                      (catch Throwable error {"error" (str error)}))))
  (flush))
(shutdown-agents)
